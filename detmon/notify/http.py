"""HTTP for notifiers: time-outs, no redirects, no retries (the outbox retries), and only to allowed addresses."""

from __future__ import annotations

import ipaddress
import socket
import urllib.parse
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from detmon.hookspecs import Permanent, Response, Retry, SendFailed

if TYPE_CHECKING:
    from requests import RequestException

CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 10.0
_METADATA_NAMES = ("metadata", "metadata.google.internal", "instance-data")
_METADATA_ADDRESSES = frozenset(ipaddress.ip_address(text) for text in ("fd00:ec2::254", "100.100.100.200"))
"""Where clouds answer beside the link-local 169.254.169.254."""
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class HttpClient:
    """What `ctx.http` is. `redact` cleans every text that an exception carries."""

    def __init__(self, redact: Callable[[str], str], *, allow_http: bool = False) -> None:
        self._redact = redact
        self._allow_http = allow_http

    def post(
        self, url: str, *, json: Any = None, data: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """POST; any status comes back, a failure to get an answer raises SendFailed."""
        return self._request("POST", url, json=json, data=data, headers=headers)

    def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Response:
        """GET, likewise."""
        return self._request("GET", url, headers=headers)

    def _request(self, method: str, url: str, **content: Any) -> Response:
        import requests

        refusal = refused(url, allow_http=self._allow_http)
        if refusal is not None:
            raise SendFailed(Permanent(refusal))
        with requests.Session() as session:
            session.auth = _keep_headers  # or a ~/.netrc would replace the Authorization header
            try:
                return session.request(
                    method, url, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT), allow_redirects=False, **content
                )
            except requests.RequestException as error:
                raise SendFailed(self._outcome(error)) from None

    def _outcome(self, error: RequestException) -> Retry | Permanent:
        import requests
        from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NameResolutionError, NewConnectionError

        cause = error.args[0] if error.args else None
        reason = cause.reason if isinstance(cause, MaxRetryError) else None
        if isinstance(reason, NameResolutionError):
            return Retry("the host's name does not resolve", soon=True)
        if isinstance(reason, NewConnectionError):
            return Retry("connection refused" if "refused" in str(reason) else "no way to the host", soon=True)
        if isinstance(reason, ConnectTimeoutError):
            return Retry(f"no connection within {CONNECT_TIMEOUT:g} s")
        if isinstance(error, requests.exceptions.SSLError):
            return Retry("the server's certificate is not trusted")
        if isinstance(error, requests.Timeout):
            return Retry(f"no answer within {READ_TIMEOUT:g} s", ambiguous=True)
        if isinstance(error, ValueError):  # a URL or header that requests refuses
            return Permanent(f"{type(error).__name__}: the address cannot be used")
        return Retry(self._redact(f"connection lost ({type(error).__name__})"), ambiguous=True)


def refused(url: str, *, allow_http: bool = False) -> str | None:
    """Why a notice may not be sent to `url`, or None. https only, http to this machine; never to metadata services."""
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname
        port = parts.port
    except ValueError:
        return "the address is no URL"
    if parts.scheme not in ("http", "https") or not host:
        return "the address must begin with https://"
    addresses = _addresses(host, port)
    if host.lower().rstrip(".") in _METADATA_NAMES or any(map(_is_metadata, addresses)):
        return "link-local and metadata addresses are refused"
    local = bool(addresses) and all(address.is_loopback for address in addresses)
    if parts.scheme == "http" and not (local or allow_http):
        return "http only to this machine; use https (or set allow_http = true)"
    return None


def _is_metadata(address: _Address) -> bool:
    return address.is_link_local or address in _METADATA_ADDRESSES


def _addresses(host: str, port: int | None) -> list[_Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    return [getattr(address, "ipv4_mapped", None) or address for address in addresses]


def _keep_headers(request: Any) -> Any:
    return request

"""Objects of S3 (and what speaks its language) and of Google Cloud Storage, through pyarrow."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any

from detmon.errors import OperationError, UsageError
from detmon.formats.contract import NO_ROOM, Fetched
from detmon.formats.hive import may_be_log
from detmon.times import naive_utc

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem

BLOCK = 8 << 20
"""Bytes that are asked for at once."""
ATTEMPTS = 5
"""Requests until one that fails for the moment (5xx, 429, time-outs, lost connections) has failed; pauses grow."""
CONNECT_SECONDS, SILENT_SECONDS = 10, 60
GOOGLE_SECONDS = 20.0
"""How long a request to Google is tried again."""
NAMES = ("AWS_", "GS_", "GOOGLE_", "STORAGE_", "HOME")
"""How the variables begin that say who asks, and whom."""
MAGIC = re.compile(r"[*?[]")
SAID = {
    "NO_SUCH_BUCKET|NoSuchBucket": ("there is no such bucket", "check its name{endpoint}"),
    "REQUEST_TIME_TOO_SKEWED|RequestTimeTooSkewed": (
        "the clock of this machine and that of the server differ",
        "set the clock (timedatectl set-ntp true)",
    ),
    "ExpiredToken|EXPIRED_TOKEN|expired|invalid_grant": ("the credentials are expired", "renew them ({renewal})"),
    "INVALID_ACCESS_KEY_ID|InvalidAccessKeyId|UNRECOGNIZED_CLIENT": (
        "the access key is not known there",
        "check AWS_ACCESS_KEY_ID, AWS_PROFILE or ~/.aws/credentials{endpoint}",
    ),
    "SIGNATURE_DOES_NOT_MATCH|SignatureDoesNotMatch|INVALID_SIGNATURE": (
        "the secret key does not fit the access key",
        "check AWS_SECRET_ACCESS_KEY, AWS_PROFILE or ~/.aws/credentials",
    ),
    "HTTP status 301|PermanentRedirect|AuthorizationHeaderMalformed": (
        "the bucket is in another region",
        "AWS_DEFAULT_REGION=REGION names it",
    ),
    "ACCESS_DENIED|HTTP status 40[13]|PERMISSION_DENIED|UNAUTHENTICATED|permission|Permission": (
        "access is denied",
        "{credentials}",
    ),
    "OAuth2 access token|automatically determine|credentials": ("there are no credentials", "{credentials}"),
    "NO_SUCH_KEY|RESOURCE_NOT_FOUND|HTTP status 404|Path does not exist|NOT_FOUND": ("it is not there", None),
    "NETWORK_CONNECTION|REQUEST_TIMEOUT|curlCode|[Tt]imeout|CURL error|HTTP status 408": (
        "the server cannot be reached",
        "check the network{endpoint}; nothing of it was read",
    ),
    "SLOW_DOWN|TOO_MANY|SERVICE_UNAVAILABLE|INTERNAL_FAILURE|HTTP status (429|5..)|UNAVAILABLE|DEADLINE_EXCEEDED": (
        "the server cannot answer now",
        "nothing of it was read; run it again later",
    ),
}
"""What the text of a failure means, and what helps; the first that is found."""
CREDENTIALS = {
    "s3": "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name who asks; AWS_NO_SIGN_REQUEST=YES: nobody",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS=FILE names who asks; GS_NO_SIGN_REQUEST=YES: nobody",
}
RENEWAL = {"s3": "aws sso login, or a new AWS_SESSION_TOKEN", "gs": "gcloud auth application-default login"}


@dataclass(frozen=True)
class Stored:
    """One object; `key` is bucket and path, `modified` when it was written, by the server's clock."""

    name: str
    key: str
    size: int | None
    modified: datetime
    files: FileSystem

    def fetch(self, file: IO[bytes], known: str | None) -> Fetched:
        """Copy it in blocks. Its version is size and time of writing, as the listing told: that takes no request."""
        version = f"{self.size} {self.modified.isoformat()}"
        if version == known:
            return Fetched(version, changed=False)
        with _said_plainly(self.name):
            copied = self._copy(file)
            again = self.files.get_file_info(self.key) if copied > BLOCK else None
        if copied != self.size or (again and (again.size, again.mtime) != (self.size, self.modified)):
            raise OperationError(f"{self.name} was changed while it was read", "run it again", code="unreadable")
        return Fetched(version, naive_utc(self.modified))

    def _copy(self, file: IO[bytes]) -> int:
        copied = 0
        with self.files.open_input_stream(self.key, compression=None) as content:  # a file loses Google's reasons
            while block := content.read(BLOCK):
                file.write(block)
                copied += len(block)
        return copied


def objects(name: str) -> Iterator[Stored]:
    """What an address means: the object of that name, all below a "folder", or what a glob matches, in order.

    In globs `*` and `?` stay within one part of the path, `**` goes through any number of them. Hidden objects
    (`.name`) and the markers of writers are left out. Raises UsageError where there is nothing, OperationError.
    """
    scheme, _, place = name.partition("://")
    bucket, _, path = place.partition("/")
    if not bucket or MAGIC.search(bucket):
        raise UsageError(f"{name}: names no bucket", f"{scheme}://BUCKET/PATH")
    if "@" in bucket:
        raise UsageError(f"{scheme}://…@{bucket.partition('@')[2]}: no credentials in an address", CREDENTIALS[scheme])
    from pyarrow.fs import FileType

    with _said_plainly(name):
        files = _files(scheme, bucket)
        found = sorted(_found(files, bucket, path), key=lambda info: info.path)
        if not found and files.get_file_info(bucket).type == FileType.NotFound:
            raise OSError("NoSuchBucket")
    if not found:
        raise UsageError(f"nothing matches {name}" if MAGIC.search(path) else f"there is nothing at {name}")
    for info in found:
        yield Stored(f"{scheme}://{info.path}", info.path, info.size, info.mtime, files)


def _found(files: FileSystem, bucket: str, path: str) -> list[FileInfo]:
    from pyarrow.fs import FileType

    whole = f"{bucket}/{path}".rstrip("/")
    info = files.get_file_info(whole)
    if info.type == FileType.File and not path.endswith("/"):
        return [info]
    if info.type != FileType.Directory and MAGIC.search(path):
        return list(_matching(files, bucket, path.rstrip("/").split("/")))
    return _below(files, whole)


def _below(files: FileSystem, folder: str) -> list[FileInfo]:
    """All objects below a "folder"."""
    from pyarrow.fs import FileSelector

    listed = files.get_file_info(FileSelector(folder, recursive=True, allow_not_found=True))
    return [info for info in listed if info.is_file and may_be_log(info.path.removeprefix(folder))]


def _matching(files: FileSystem, folder: str, parts: list[str]) -> Iterator[FileInfo]:
    """The objects that a glob matches below `folder`; only the folders that it can match are listed."""
    from pyarrow.fs import FileSelector

    first, *rest = parts
    if first == "**":
        yield from _listed(files, folder, _expression(["**", *(rest or ["*"])]))
    elif not MAGIC.search(first):
        yield from _matching(files, f"{folder}/{first}", rest) if rest else _found(files, folder, first)
    elif files.type_name == "gcs":  # it tells of folders only where somebody wrote an object in their place
        yield from _listed(files, folder, _expression(parts) + ("" if "**" in parts else "(/.*)?"))
    else:
        for info in files.get_file_info(FileSelector(folder, allow_not_found=True)):
            if not fnmatchcase(info.base_name, first) or not may_be_log(info.base_name):
                continue
            if info.is_file and not rest:
                yield info
            elif not info.is_file:
                yield from _matching(files, info.path, rest) if rest else _below(files, info.path)


def _listed(files: FileSystem, folder: str, expression: str) -> Iterator[FileInfo]:
    """The objects below `folder` whose paths from there match."""
    pattern = re.compile(expression)
    return (info for info in _below(files, folder) if pattern.fullmatch(info.path.removeprefix(f"{folder}/")))


def _expression(parts: list[str]) -> str:
    """What the parts of a glob match, as a regular expression over paths."""
    signs = {"**/": "(.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    pieces = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]/]+\])", "/".join(parts))
    return "".join(signs.get(one) or (_choice(one) if one.startswith("[") else re.escape(one)) for one in pieces)


def _choice(one: str) -> str:
    inner = one[1:-1].replace("\\", r"\\").replace("[", r"\[")
    return f"[^{inner[1:]}]" if inner.startswith("!") and len(inner) > 1 else f"[{inner}]"


def _files(scheme: str, bucket: str) -> Any:
    """The file system of a bucket, by the usual environment variables and configuration files."""
    return _connected(scheme, bucket, tuple(sorted(one for one in os.environ.items() if one[0].startswith(NAMES))))


@lru_cache(8)
def _connected(scheme: str, bucket: str, settings: tuple[tuple[str, str], ...]) -> Any:
    """The same; thousands of pictures of a bucket are read through one. `settings`: the environment it was made in."""
    from pyarrow import fs

    if scheme == "gs":
        emulator, anonymous = _emulator(), _yes("GS_NO_SIGN_REQUEST")
        seconds = timedelta(seconds=GOOGLE_SECONDS)
        return fs.GcsFileSystem(anonymous=anonymous or bool(emulator), retry_time_limit=seconds, **_server(emulator))
    server = _server(_endpoint())
    return fs.S3FileSystem(
        anonymous=_yes("AWS_NO_SIGN_REQUEST"),
        region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") if server else _region(bucket),
        connect_timeout=CONNECT_SECONDS,
        request_timeout=SILENT_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        **server,
    )


def _endpoint() -> str | None:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")


def _emulator() -> str | None:
    """Where Google's own tools look for another server; without a scheme it is an http one."""
    server = os.environ.get("STORAGE_EMULATOR_HOST")
    return server if not server or "://" in server else f"http://{server}"


def _server(url: str | None) -> dict[str, str]:
    """The arguments for a server other than the vendor's; an address without scheme is an https one."""
    if not url:
        return {}
    scheme, found, rest = url.partition("://")
    return {"scheme": scheme, "endpoint_override": rest.rstrip("/")} if found else {"endpoint_override": url}


def _region(bucket: str) -> str | None:
    """Where a bucket of Amazon's is; None, for what the configuration says, when it does not tell."""
    from pyarrow.fs import resolve_s3_region

    try:
        return str(resolve_s3_region(bucket))
    except OSError as error:
        if "not found" in str(error):
            raise
        return None


def _yes(name: str) -> bool:
    return os.environ.get(name, "").casefold() in ("yes", "true", "1", "on")


@contextmanager
def _said_plainly(name: str) -> Iterator[None]:
    """What pyarrow raises, as an error for users."""
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise  # it is the copy that cannot be written
        raise told(name, str(error)) from None


def told(name: str, text: str) -> OperationError:
    scheme = name.partition("://")[0]
    variable, server = ("AWS_ENDPOINT_URL", _endpoint()) if scheme == "s3" else ("STORAGE_EMULATOR_HOST", _emulator())
    endpoint = f", and {variable} ({_shown(server)})" if server else ""
    for signs, (what, hint) in SAID.items():
        if re.search(signs, text):
            hint = hint and hint.format(endpoint=endpoint, credentials=CREDENTIALS[scheme], renewal=RENEWAL[scheme])
            return OperationError(f"cannot read {name}: {what}", hint, code="unreadable")
    return OperationError(f"cannot read {name}: {' '.join(text.split())[:200]}", code="unreadable")


def _shown(url: str) -> str:
    from detmon.formats.web import shown

    return shown(url)

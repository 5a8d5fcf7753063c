"""MLflow's model registry: `mlflow:NAME@ALIAS` stands for a model, and a promotion sets the alias there.

A registered model NAME in version V is the model `NAME@V`. By REST (https://mlflow.org/docs/latest/rest-api.html), with
the environment variables of MLflow's own clients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from detmon import environment
from detmon.errors import OperationError, UnknownName, UsageError

if TYPE_CHECKING:
    import requests

PREFIX = "mlflow:"
URI = "MLFLOW_TRACKING_URI"
ADDRESS = "models:/"
"""So begins MLflow's own address of a model's weights."""
TIMEOUT = (5, 30)
"""Seconds until there is a connection, and between two parts of an answer."""
AGAIN = 2
"""Further attempts at a question (never at a promotion) when the server or the network fails."""
HINTS = {
    401: "MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    403: "the user may not do this in MLflow",
}
UNKNOWN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""How MLflow says that a model or version, or an alias, is not there."""


@dataclass(frozen=True)
class Version:
    """One version of a registered model."""

    name: str
    version: str

    @property
    def model_id(self) -> str:
        """The id of the model in logs."""
        return f"{self.name}@{self.version}"


class _Refused(Exception):
    """The server says that there is no such thing."""


def resolved(text: str) -> str:
    """The id of the model that `mlflow:NAME@ALIAS` (or `mlflow:NAME@VERSION`) stands for; other texts as they are."""
    if not text.startswith(PREFIX):
        return text
    name, _, which = text.removeprefix(PREFIX).rpartition("@")
    if not name or not which:
        raise UsageError(
            f"{text!r} names no model of MLflow", "mlflow:NAME@ALIAS, for example mlflow:vehicles@champion"
        )
    with Registry() as registry:
        found = registry.version(name, which) if which.isdecimal() else registry.behind(name, which)
    return found.model_id


def promote(name: str, version: str | None, uri: str | None, alias: str) -> str | None:
    """Set an alias in MLflow, where that has the model; returns the server's name, None where it has not.

    A server is asked if `MLFLOW_TRACKING_URI` names one. Raises UsageError where the model came from MLflow and none is
    named, OperationError.
    """
    if environment.value(URI) is None:
        if (uri or "").startswith(ADDRESS):
            raise UsageError(
                f"{name}@{version} came from MLflow ({uri}), and no server is named", f"{URI}=https://HOST"
            )
        return None
    if version is None:
        return None
    with Registry() as registry:
        if not registry.has(name, version):
            return None
        registry.set_alias(name, version, alias)
        return registry.shown


class Registry:
    """The server that `MLFLOW_TRACKING_URI` names."""

    def __init__(self) -> None:
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util import Retry

        uri = environment.value(URI)
        if uri is None:
            raise UsageError("no MLflow server is named", f"{URI}=https://HOST")
        parts = urlsplit(uri)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{URI} is no address of a server", "https://HOST: files and databases are not read")
        self.shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")
        self._api = f"{uri.rstrip('/')}/api/2.0/mlflow"
        self._session = requests.Session()
        self._session.trust_env = False  # or a ~/.netrc would replace the token
        self._session.proxies = requests.utils.get_environ_proxies(uri)
        self._session.verify = _verified()
        user, password = environment.value("MLFLOW_TRACKING_USERNAME"), environment.value("MLFLOW_TRACKING_PASSWORD")
        token = environment.value("MLFLOW_TRACKING_TOKEN")
        if user and password:
            self._session.auth = (user, password)
        elif token:
            self._session.headers["Authorization"] = f"Bearer {token}"
        again = Retry(AGAIN, status_forcelist=(429, 502, 503, 504), raise_on_status=False, backoff_factor=0.3)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=again))  # GETs only: urllib3 does not repeat a POST

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def behind(self, name: str, alias: str) -> Version:
        """The version that has an alias. Raises UnknownName."""
        try:
            said = self._ask("GET", "registered-models/alias", {"name": name, "alias": alias})
        except _Refused:
            raise UnknownName(f"alias of {name} in MLflow", alias, self._aliases(name)) from None
        return self._parsed(said)

    def version(self, name: str, version: str) -> Version:
        """A version by its number. Raises UnknownName."""
        try:
            return self._parsed(self._ask("GET", "model-versions/get", {"name": name, "version": version}))
        except _Refused:
            raise UnknownName(f"version of {name} in MLflow", version, self._aliases(name)) from None

    def has(self, name: str, version: str) -> bool:
        """Whether there is such a version."""
        try:
            self._ask("GET", "model-versions/get", {"name": name, "version": version})
        except _Refused:
            return False
        return True

    def set_alias(self, name: str, version: str, alias: str) -> None:
        """Give a version an alias; MLflow takes it from any other version."""
        try:
            self._ask("POST", "registered-models/alias", {"name": name, "alias": alias, "version": version})
        except _Refused as error:
            raise UsageError(f"MLflow refuses the alias {alias!r} for {name}@{version}: {error}") from None

    def _aliases(self, name: str) -> list[str]:
        """The aliases of a registered model. Raises UnknownName where there is no such model."""
        try:
            said = self._ask("GET", "registered-models/get", {"name": name})
        except _Refused:
            raise UnknownName("registered model of MLflow", name, hint=f"at {self.shown}") from None
        return [str(one.get("alias")) for one in said.get("registered_model", {}).get("aliases", ())]

    def _parsed(self, said: dict[str, Any]) -> Version:
        found = said.get("model_version", {})
        if not found.get("name") or not found.get("version"):
            raise self._odd()
        return Version(str(found["name"]), str(found["version"]))

    def _ask(self, method: str, path: str, said: dict[str, str]) -> dict[str, Any]:
        answer = self._request(method, path, said)
        try:
            content = answer.json()
        except ValueError:
            content = None
        if answer.status_code == 200 and isinstance(content, dict):
            return content
        if answer.status_code < 400:
            raise self._odd()
        told = content if isinstance(content, dict) else {}
        message = str(told.get("message") or "").partition("\n")[0][:300]
        if answer.status_code in (400, 404) and told.get("error_code") in UNKNOWN:
            raise _Refused(message)
        text = f"MLflow at {self.shown} answered {answer.status_code}" + (f": {message}" if message else "")
        raise OperationError(text, HINTS.get(answer.status_code))

    def _request(self, method: str, path: str, said: dict[str, str]) -> requests.Response:
        import requests
        from urllib3.exceptions import ReadTimeoutError

        content: dict[str, Any] = {"params" if method == "GET" else "json": said}
        try:
            return self._session.request(
                method, f"{self._api}/{path}", timeout=TIMEOUT, allow_redirects=False, **content
            )
        except requests.exceptions.SSLError:
            why, hint = "its certificate is not trusted", "MLFLOW_TRACKING_SERVER_CERT_PATH=FILE names its authority"
        except (requests.exceptions.RequestException, OSError) as error:
            cause = getattr(error.args[0] if error.args else None, "reason", None)
            if isinstance(error, requests.exceptions.ReadTimeout) or isinstance(cause, ReadTimeoutError):
                unclear = ": whether the alias is set is not known" if method == "POST" else ""
                why, hint = f"it does not answer{unclear}", "run it again later"
            else:
                why = f"it cannot be reached ({type(cause or error).__name__})"
                hint = f"is {URI} right, and the server up?"
        raise OperationError(f"MLflow at {self.shown}: {why}", hint)

    def _odd(self) -> OperationError:
        return OperationError(f"what answers at {self.shown} is not MLflow", f"is {URI} right?")


def _verified() -> bool | str:
    """Whether, or with which authorities, the server's certificate is checked, as MLflow's clients do."""
    if environment.value("MLFLOW_TRACKING_INSECURE_TLS") in ("true", "True", "1"):
        return False
    given = environment.value("MLFLOW_TRACKING_SERVER_CERT_PATH") or environment.value("REQUESTS_CA_BUNDLE")
    return given or True

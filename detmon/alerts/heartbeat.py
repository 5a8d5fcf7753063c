"""A heartbeat: tells a watchdog that the check runs. (A cron that does not run cannot say so itself.)"""

from __future__ import annotations

TIMEOUT = 5.0


def beat(url: str, path: str = "") -> str | None:
    """GET `url` + `path`; returns why that failed, or None."""
    import http.client
    from urllib.error import URLError
    from urllib.request import urlopen

    if not url.startswith(("http://", "https://")):
        return "the heartbeat's address must begin with http:// or https://"
    try:
        address, question, query = url.partition("?")
        with urlopen(address.rstrip("/") + path + question + query, timeout=TIMEOUT):  # noqa: S310 (http and https only, see above)
            return None
    except (ValueError, http.client.InvalidURL):  # their text holds the address, which is a secret
        return "the heartbeat failed: its address cannot be used"
    except (URLError, OSError, http.client.HTTPException) as error:
        reason = str(getattr(error, "reason", error)).splitlines()
        return f"the heartbeat failed: {reason[0] if reason else type(error).__name__}"

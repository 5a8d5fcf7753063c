"""A bucket of Google Cloud Storage on this machine: what of its JSON API reads objects, by the server of `objects`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from urllib.parse import parse_qs, unquote, urlsplit

from objects import Files

API = "/storage/v1/b/"


class Bucket(Files):
    """`content` by name within the bucket `logs`; a listing tells `page` objects at a time. Only reads of content fail,
    unless `all_fail`. `versions` count how often an object was written."""

    page = 1000
    all_fail = False

    def __init__(self) -> None:
        super().__init__()
        self.written: dict[str, tuple[bytes, int]] = {}

    def may_fail(self, path: str) -> bool:
        return self.all_fail or "alt=media" in path

    def found(self, path: str) -> bytes | None:
        """The answer to a request: an object's content or description, a listing, the bucket."""
        parts = urlsplit(path)
        asked = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        bucket, _, rest = parts.path.removeprefix(API).partition("/")
        if bucket != "logs":
            return None
        if not rest:
            return json.dumps({"kind": "storage#bucket", "name": bucket, "id": bucket}).encode()
        if rest == "o":
            return self._listed(asked)
        name = unquote(rest.removeprefix("o/"))
        if name not in self.content:
            return None
        return self.content[name] if asked.get("alt") == "media" else json.dumps(self._described(name)).encode()

    def _listed(self, asked: dict[str, str]) -> bytes:
        prefix, mark = asked.get("prefix", ""), asked.get("delimiter", "")
        names = sorted(name for name in self.content if name.startswith(prefix))
        cut = [
            (prefix + name[len(prefix) :].partition(mark)[0] + mark) if mark and mark in name[len(prefix) :] else name
            for name in names
        ]
        entries = list(dict.fromkeys(cut))
        begin = int(asked.get("pageToken") or 0)
        shown = entries[begin : begin + self.page]
        answer: dict[str, object] = {"kind": "storage#objects"}
        answer["items"] = [self._described(name) for name in shown if name in self.content]
        answer["prefixes"] = [name for name in shown if name not in self.content]
        if begin + self.page < len(entries):
            answer["nextPageToken"] = str(begin + self.page)
        return json.dumps(answer).encode()

    def _described(self, name: str) -> dict[str, object]:
        content = self.content[name]
        before, version = self.written.get(name, (None, 0))
        if content != before:
            version += 1
            self.written[name] = content, version
        moment = datetime.fromtimestamp(1_760_000_000 + version, UTC).isoformat().replace("+00:00", "Z")
        said = {"kind": "storage#object", "name": name, "bucket": "logs", "id": f"logs/{name}/{version}"}
        times = {"timeCreated": moment, "updated": moment}
        return {**said, **times, "generation": str(version), "metageneration": "1", "size": str(len(content))}

"""A server on this machine that speaks as much of the hub as reading a dataset needs."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

_SHA = "0" * 39 + "1"
_API = re.compile(r"/api/datasets/([^/]+/[^/]+)(?:/(revision|tree|paths-info)/[^/]+(?:/(.*))?)?")
_FILE = re.compile(r"/datasets/([^/]+/[^/]+)/resolve/[^/]+/(.+)")


class HubServer:
    """The server, at `url`; `files` by dataset ('owner/name') and path. Datasets of the owner
    'gated' are closed to those who have not asked."""

    def __init__(self, files: dict[str, dict[str, bytes]]):
        self.files = files
        self.ranges: list[str] = []
        server = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), server)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()

    def entries(self, name: str, folder: str, recursive: bool) -> list[dict]:
        """As the hub lists a folder; nothing where there is none."""
        start = f"{folder.strip('/')}/".lstrip("/")
        found = dict[str, dict]()
        for path, data in self.files[name].items():
            parts = path.removeprefix(start).split("/")
            if not path.startswith(start):
                continue
            for depth in range(1, len(parts)) if recursive else range(1, min(2, len(parts))):
                above = start + "/".join(parts[:depth])
                found[above] = {"type": "directory", "path": above, "size": 0, "oid": "t"}
            if recursive or len(parts) == 1:
                found[path] = {"type": "file", "path": path, "size": len(data), "oid": f"b{path}"}
        return list(found.values())


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        address = urlsplit(self.path)
        query, path = parse_qs(address.query), unquote(address.path)
        if match := _FILE.fullmatch(path):
            self._file(*match.groups())
        elif (match := _API.fullmatch(path)) and self._is_open(match[1]):
            name, what, folder = match.groups()
            if what in (None, "revision"):
                self._answer(200, {"id": name, "sha": _SHA, "siblings": [], "tags": []})
            else:
                recursive = query.get("recursive", ["false"])[0].lower() == "true"
                found = self.hub.entries(name, folder or "", recursive)
                if folder and not found:
                    self._answer(404, {"error": "none"}, "EntryNotFound")
                else:
                    self._answer(200, found)
        elif match is None:
            self._answer(404, {"error": "none"})

    do_HEAD = do_GET

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        match = _API.fullmatch(unquote(urlsplit(self.path).path))
        if match is None or match[2] != "paths-info":
            self._answer(404, {"error": "none"})
        elif self._is_open(match[1]):
            paths = parse_qs(body)["paths"]
            found = self.hub.entries(match[1], "", recursive=True)
            self._answer(200, [entry for entry in found if entry["path"] in paths])

    def _is_open(self, name: str) -> bool:
        if name.startswith("gated/"):
            self._answer(403, {"error": "restricted"}, "GatedRepo")
        elif name not in self.hub.files:
            self._answer(404, {"error": "none"}, "RepoNotFound")
        else:
            return True
        return False

    def _file(self, name: str, path: str):
        if not self._is_open(name):
            return
        data = self.hub.files[name].get(path)
        if data is None:
            self._answer(404, {"error": "none"}, "EntryNotFound")
            return
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        self.hub.ranges.append(self.headers.get("Range", ""))
        if wanted is None:
            self._send(200, data, {})
            return
        first, last = int(wanted[1]), int(wanted[2] or len(data) - 1)
        of = {"Content-Range": f"bytes {first}-{min(last, len(data) - 1)}/{len(data)}"}
        self._send(206, data[first : last + 1], of)

    def _answer(self, status: int, what: object, code: str | None = None):
        self._send(status, json.dumps(what).encode(), {"X-Error-Code": code} if code else {})

    def _send(self, status: int, data: bytes, more: dict[str, str]):
        self.send_response(status)
        head = {"Content-Type": "application/json", "Content-Length": str(len(data))}
        for name, value in (head | {"X-Repo-Commit": _SHA, "ETag": '"1"'} | more).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format, *arguments):
        """Nothing is said of requests."""

"""A server on this machine that speaks S3 (moto's), and fails as it is told to."""

import contextlib
import dataclasses
import os
import random
import threading
import time
from collections.abc import Iterator

import fsspec
import pytest
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

KEYS = {
    "AWS_ACCESS_KEY_ID": "a-key-of-tests",
    "AWS_SECRET_ACCESS_KEY": "a-secret-of-tests",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    # What is tried again is tried by us.
    "AWS_MAX_ATTEMPTS": "1",
}


@contextlib.contextmanager
def with_bucket() -> "Iterator[S3Server]":
    """A server with an empty bucket, to which this process and those that it starts are led."""
    from jepa_jax import object_stores

    def forget() -> None:
        # Ours of this process, and the library's, which knows no other address than its first.
        object_stores._file_system.cache_clear()
        fsspec.get_filesystem_class("s3").clear_instance_cache()

    found = S3Server()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in found.environment.items():
            patch.setenv(name, value)
        forget()
        object_stores._file_system("s3", os.getpid()).mkdir("bucket")
        yield found
    found.close()
    forget()


@dataclasses.dataclass
class Faults:
    """Shares of the requests that are answered with 503, or whose body ends in its middle, and
    seconds that every answer takes longer; drawn by `seed`."""

    unavailable: float = 0.0
    cut: float = 0.0
    seconds: float = 0.0
    seed: int = 0

    def __post_init__(self):
        self.chance = random.Random(self.seed)
        self.had = {"unavailable": 0, "cut": 0}

    def draw(self, kind: str) -> bool:
        """Whether this request is one of those."""
        fails = self.chance.random() < getattr(self, kind)
        self.had[kind] += fails
        return fails


class S3Server:
    """The server, at `url` and for the processes started with `environment`. `requests`: method and
    path of each."""

    def __init__(self):
        self.faults = Faults()
        self.requests: list[tuple[str, str]] = []
        self._answer = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._request, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.environment = KEYS | {"AWS_ENDPOINT_URL": self.url}
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        """Ends it."""
        self._server.shutdown()

    def _request(self, environ, start_response):
        self.requests.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        faults = self.faults
        time.sleep(faults.seconds)
        if faults.draw("unavailable"):
            is_head = environ["REQUEST_METHOD"] == "HEAD"
            text = (
                b""
                if is_head
                else b"<Error><Code>SlowDown</Code><Message>Reduce your rate</Message></Error>"
            )
            head = [("Content-Type", "application/xml"), ("Content-Length", str(len(text)))]
            start_response("503 Slow Down", head)
            return [text]
        answer = self._answer(environ, start_response)
        if environ["REQUEST_METHOD"] == "GET" and faults.draw("cut"):
            return self._cut(answer)
        return answer

    @staticmethod
    def _cut(answer):
        body = b"".join(answer)
        yield body[: len(body) // 2]  # Of a length that was said before: the connection ends.

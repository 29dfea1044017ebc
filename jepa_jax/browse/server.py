"""The local server: pages and pictures of one folder, for this machine alone, and by GET alone.

It listens on the loopback interface; answers only what is asked of it by that name, so that no page
of another site reaches it by a name of its own (DNS rebinding); and all it has is below an address
that nobody else on the machine can guess.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator

import duckdb
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jepa_jax.browse.pages import image_page, list_page, message_page
from jepa_jax.browse.pictures import LARGE, SMALL, Pictures
from jepa_jax.browse.table_rows import Rows
from jepa_jax.browse.view import View
from jepa_jax.error_lines import first_line
from jepa_jax.report.page_files import served_policy
from jepa_jax.report.pictures import Where, source_of
from jepa_jax.report.spreadsheets import csv_line

HOST = "127.0.0.1"
_HEADERS = {
    "Content-Security-Policy": f"{served_policy()}; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_LINES = 1000


def application(rows: Rows, where: Where, secret: str = "") -> Starlette:
    """What answers: `rows`, and pictures from `where`, below '/secret/'.

    Raises `ValueError` or `OSError` where the images are not at `where.images`.
    """
    source, lacks = source_of(rows.settings, rows.facts, where)
    pictures = Pictures(source)
    base = f"/{secret}/" if secret else "/"

    def asked(request: Request) -> View:
        return View.asked(request.query_params, rows.overview().known)

    def listed(request: Request) -> Response:
        return HTMLResponse(list_page(rows, asked(request), base, lacks))

    def image(request: Request) -> Response:
        row = rows.one(request.path_params["shard"], request.path_params["row"])
        if row is None:
            return not_found(request, None)
        return HTMLResponse(image_page(rows, asked(request), base, row, lacks))

    def picture(request: Request) -> Response:
        row = rows.one(request.path_params["shard"], request.path_params["row"])
        side = LARGE if request.query_params.get("size") == "large" else SMALL
        data = None if row is None else pictures.of(row["id"], row.get("stamp"), side)
        if data is None:
            return Response("no picture", 404, media_type="text/plain")
        return Response(data, media_type=f"image/{'webp' if data[:4] == b'RIFF' else 'jpeg'}")

    def selected(request: Request) -> Response:
        lines = (csv_line(line, guarded=True) for line in rows.each(asked(request)))
        headers = {"Content-Disposition": 'attachment; filename="selected.csv"'}
        return StreamingResponse(_several(lines), media_type="text/csv", headers=headers)

    def not_found(request: Request, error: Exception | None) -> Response:
        # Who does not know the secret learns nothing, not even where it is.
        inside = base if request.url.path.startswith(base) else ""
        text = "There is nothing here. `jepa-jax browse` prints the address that there is."
        return HTMLResponse(message_page(inside, "Not found", text), 404)

    def mistaken(request: Request, error: Exception) -> Response:
        return HTMLResponse(message_page(base, "That cannot be shown", str(error)), 400)

    def damaged(request: Request, error: Exception) -> Response:
        text = f"The scores cannot be read: {first_line(error)}. `jepa-jax show` says which file."
        return HTMLResponse(message_page(base, "The scores cannot be read", text), 500)

    at = "{shard:int}/{row:int}"
    return Starlette(
        routes=[
            Route(base, listed, methods=["GET"]),
            Route(f"{base}image/{at}", image, methods=["GET"]),
            Route(f"{base}picture/{at}", picture, methods=["GET"]),
            Route(f"{base}selected.csv", selected, methods=["GET"]),
        ],
        middleware=[
            Middleware(_WithHeaders),
            Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"]),
        ],
        exception_handlers={
            404: not_found,
            ValueError: mistaken,
            duckdb.Error: damaged,
            OSError: damaged,
        },
    )


class Server:
    """A server of a folder's pages, bound to the loopback interface: `url` is its address.

    `port`: 0 for any that is free. Raises `ValueError` where it is taken.
    """

    def __init__(self, rows: Rows, where: Where, port: int):
        secret = secrets.token_urlsafe(12)
        self._application = application(rows, where, secret)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((HOST, port))
            # Who comes before it answers waits.
            self._socket.listen()
        except OSError as error:
            self._socket.close()
            raise ValueError(
                f"port {port} of this machine cannot be had ({error.strerror}): give another by "
                "--port, or 0 for any that is free"
            ) from error
        self.url = f"http://{HOST}:{self._socket.getsockname()[1]}/{secret}/"

    def run(self) -> None:
        """Answers until a signal ends it."""
        import uvicorn

        config = uvicorn.Config(
            self._application,
            log_level="error",
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,
        )
        with self._socket:
            uvicorn.Server(config).run(sockets=[self._socket])


class _WithHeaders:
    """Every answer, of errors too, with the headers that all have."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                more = [(n.lower().encode(), v.encode()) for n, v in _HEADERS.items()]
                message["headers"] = [*message["headers"], *more]
            await send(message)

        await self._app(scope, receive, with_headers)


def _several(lines: Iterator[str]) -> Iterator[str]:
    """Many lines at a time: each step is one of a thread."""
    kept: list[str] = []
    for line in lines:
        kept.append(line)
        if len(kept) >= _LINES:
            yield "".join(kept)
            kept.clear()
    yield "".join(kept)

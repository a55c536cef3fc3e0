"""The web page's files, held in memory: no name that is asked for is ever used as a path."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import Response
from starlette.routing import Route

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
_INDEX = "index.html"


def page_routes(folder: Path) -> list[Route]:
    """A route for each file of the page; ``/`` is ``index.html``."""
    if not folder.is_dir():
        return []
    files = sorted(file for file in folder.iterdir() if file.suffix in _TYPES)
    return [_route(file) for file in files]


def _route(file: Path) -> Route:
    content, kind = file.read_bytes(), _TYPES[file.suffix]

    async def serve(_request: object) -> Response:
        return Response(content, media_type=kind, headers={"Cache-Control": "no-cache"})

    path = "/" if file.name == _INDEX else f"/{file.name}"
    return Route(path, serve, include_in_schema=False)

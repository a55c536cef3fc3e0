"""The application: paths, errors, doors and the life of it all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route

import oddlens
from oddlens.serving.faults import RefusedError
from oddlens.serving.journal import Journal
from oddlens.serving.last_resort import LastResort
from oddlens.serving.metrics import Metrics
from oddlens.serving.page import page_routes
from oddlens.serving.registry import Registry
from oddlens.serving.routes import Routes
from oddlens.serving.security import PROTECTED, Doorkeeper
from oddlens.serving.settings import PAGE, Settings

_HTTP_CODES = {404: "not_found", 405: "method_not_allowed"}
_ABOUT = (
    "Fitted detectors behind HTTP: how odd is an image, is it an anomaly, where, and which cue "
    "objects. Every status of 400 and more comes with `error`: a code for programs and a sentence "
    "for people."
)


def create_app(
    models: Sequence[Path], settings: Settings | None = None, *, page: Path = PAGE
) -> FastAPI:
    """The service as an ASGI application.

    Args:
        models: .onnx files and artifacts; the first is the default.
        settings: limits and token; None for the defaults.
        page: the folder of the web page's files.

    Raises:
        UsageError: no model, two of one name, or a library that is missing.
        ArtifactError: a model cannot be loaded.
    """
    settings = settings or Settings()
    metrics = Metrics()
    registry = Registry(models, settings, metrics)
    routes = Routes(settings, registry, metrics)

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        registry.start()
        try:
            yield
        finally:
            await registry.stop()
            routes.close()

    app = FastAPI(
        title="oddlens",
        version=oddlens.__version__,
        description=_ABOUT,
        lifespan=life,
        # Swagger's page loads its scripts from elsewhere; /openapi.json is there.
        docs_url=None,
        redoc_url=None,
        # A redirection would name whatever host the caller said.
        redirect_slashes=False,
    )
    app.state.registry = registry
    router, files = routes.router(), page_routes(page)
    app.include_router(router)
    app.router.routes.extend(files)
    app.add_middleware(Doorkeeper, token=settings.token)  # the first that is added is the innermost
    known = [route for route in (*router.routes, *files) if isinstance(route, Route)]
    paths = frozenset(route.path for route in known)
    app.add_middleware(Journal, metrics=metrics, paths=paths)
    app.add_middleware(LastResort)
    _tell_errors(app)
    _tell_token(app, settings.token)
    return app


def _tell_token(app: FastAPI, token: str | None) -> None:
    """Say in the description which paths want the token; they are guarded before they are known."""
    if token is None:
        return
    described = app.openapi()  # kept by FastAPI, and changed here
    described["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    for path, operations in described["paths"].items():
        if path.startswith(PROTECTED):
            for operation in operations.values():
                operation["security"] = [{"token": []}]


def _tell_errors(app: FastAPI) -> None:
    """Every error in the one form of ``ErrorAnswer``."""

    @app.exception_handler(RefusedError)
    async def refused(_request: Request, error: RefusedError) -> JSONResponse:
        return JSONResponse(error.answer.model_dump(), error.status, error.headers)

    @app.exception_handler(RequestValidationError)
    async def wrong_query(_request: Request, error: RequestValidationError) -> JSONResponse:
        reasons = [f"{each['loc'][-1]}: {each['msg']}" for each in error.errors()]
        answer = RefusedError("wrong_query", "; ".join(reasons)).answer
        return JSONResponse(answer.model_dump(), 422)

    @app.exception_handler(HTTPException)
    async def elsewhere(request: Request, error: HTTPException) -> JSONResponse:
        code = _HTTP_CODES.get(error.status_code, "bad_request")
        message = f"{request.method} {request.scope['path'][:200]}: {error.detail}".strip()
        return JSONResponse(
            RefusedError(code, message).answer.model_dump(), error.status_code, error.headers
        )

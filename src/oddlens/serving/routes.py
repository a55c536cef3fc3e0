"""The paths of the service."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from oddlens.export.metadata import DEFAULT_RATE
from oddlens.serving.admission import Gate
from oddlens.serving.answering import Portions, map_pixels
from oddlens.serving.faults import RefusedError
from oddlens.serving.journal import note
from oddlens.serving.metrics import CONTENT_TYPE, Metrics
from oddlens.serving.models import Model
from oddlens.serving.rates import ranks_offered
from oddlens.serving.registry import Registry
from oddlens.serving.schemas import (
    ErrorAnswer,
    Health,
    Limits,
    Maps,
    ModelInfo,
    ModelsAnswer,
    ScoreAnswer,
)
from oddlens.serving.scoring import Desk, Question, name_of_model
from oddlens.serving.settings import Settings
from oddlens.serving.uploads import FIELD, announced_bytes, read_uploads

_PARAMETERS = ("model", "false_alarm_rate", "maps")
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "additionalProperties": False,
                    "properties": {
                        FIELD: {
                            "type": "array",
                            "minItems": 1,
                            "items": {"type": "string", "format": "binary"},
                            "description": "PNG, JPEG, BMP, TIFF or WebP files",
                        }
                    },
                },
                "encoding": {FIELD: {"contentType": "image/*"}},
            }
        },
    }
}


def _errors(**meanings: str) -> dict[int | str, dict[str, Any]]:
    return {
        int(status.removeprefix("s")): {"model": ErrorAnswer, "description": meaning}
        for status, meaning in meanings.items()
    }


_DOOR = _errors(
    s401="No token, or a wrong one.",
    s403="Without a token: a browser shows a page from elsewhere.",
    s421="Without a token: another Host than this machine.",
)
_OPEN_DOOR = {status: each for status, each in _DOOR.items() if status != 401}


class Routes:
    """The paths, over what they need.

    Args:
        settings: the limits.
        registry: the models.
        metrics: what /metrics shows.
    """

    def __init__(self, settings: Settings, registry: Registry, metrics: Metrics) -> None:
        self._settings = settings
        self._registry = registry
        self._metrics = metrics
        self._desk = Desk(settings, metrics)
        self._bytes = Gate(settings.max_waiting_bytes, "bytes")
        self._images = Gate(settings.queue_images, "images")
        self._maps = Gate(settings.max_waiting_map_pixels, "pixels of maps")

    def close(self) -> None:
        """End the threads."""
        self._desk.close()

    def router(self) -> APIRouter:
        """All paths of the interface."""
        router = APIRouter()
        router.add_api_route(
            "/v1/score",
            self.score,
            methods=["POST"],
            summary="Score images",
            response_model=ScoreAnswer,
            responses=_DOOR
            | _errors(
                s400="The body is no multipart/form-data.",
                s404="There is no such model.",
                s408="The request came too slowly.",
                s413="Too many bytes, files, maps, or pixels (of the only image).",
                s415="Not multipart/form-data, or the only image is none.",
                s422="A wrong query or field, no image, or the only image is damaged.",
                s429="Too much is waiting: try again after Retry-After seconds.",
                s500="A fault of the service.",
                s503="It took too long, or the service is stopping.",
            ),
            openapi_extra=_BODY,
        )
        router.add_api_route(
            "/v1/models", self.models, methods=["GET"], summary="What is served", responses=_DOOR
        )
        router.add_api_route(
            "/healthz",
            self.healthz,
            methods=["GET"],
            summary="Whether it lives",
            responses=_OPEN_DOOR,
        )
        router.add_api_route(
            "/readyz",
            self.readyz,
            methods=["GET"],
            summary="Whether it takes requests",
            responses=_OPEN_DOOR | _errors(s503="It is stopping."),
        )
        router.add_api_route(
            "/metrics",
            self.metrics,
            methods=["GET"],
            summary="Numbers for Prometheus",
            response_class=Response,
            responses=_DOOR | {200: {"content": {"text/plain": {}}, "description": "Text format"}},
        )
        return router

    async def score(
        self,
        request: Request,
        model: Annotated[
            str | None,
            Query(description="a name of /v1/models; the default where it is not given"),
        ] = None,
        false_alarm_rate: Annotated[
            float,
            Query(gt=0, lt=1, description="share of normal images that may be flagged"),
        ] = DEFAULT_RATE,
        maps: Annotated[
            Maps, Query(description="heat maps: none, as pictures, or as values to draw from")
        ] = "none",
    ) -> Portions:
        """Score one or many images, each by itself, in the order of the request.

        One bad image among several is an error of its own in `results`, and the others are scored.
        If the only image is bad, the request is refused (413, 415 or 422 with the code).
        """
        _refuse_unknown(request.query_params)
        asked = self._registry.get(model)  # before anything is read
        with ExitStack() as held:
            answer = await self._answer(request, asked.model.name, false_alarm_rate, maps, held)
            _note(request, answer)
            # What is held is held until the answer is sent.
            return Portions(await self._desk.written(answer), held.pop_all())

    async def _answer(
        self, request: Request, name: str, rate: float, maps: Maps, held: ExitStack
    ) -> ScoreAnswer:
        """Read and score; ``held`` gets what the answer takes up until it is sent."""
        with self._bytes.admit(announced_bytes(request, self._settings)):
            uploads = await read_uploads(request, self._settings)
            running = self._registry.get(name)
            pixels = map_pixels(running.model, len(uploads), maps, self._settings)
            wait = self._registry.pace.seconds_for(self._images.inside)
            with self._images.admit(len(uploads), retry_seconds=wait), running.used():
                held.enter_context(self._maps.admit(pixels, retry_seconds=wait))
                self._metrics.waiting(self._images.inside)
                try:
                    question = Question.to(running.model, rate, maps)
                    return await self._desk.score(running, uploads, question)
                finally:
                    self._metrics.waiting(self._images.inside - len(uploads))

    async def models(self) -> ModelsAnswer:
        """The models, and how much a request may hold."""
        served, settings = self._registry.models, self._settings
        return ModelsAnswer(
            default=served[0].name,
            models=[_info(model) for model in served],
            limits=Limits(
                max_files=settings.max_files,
                max_body_bytes=settings.max_body_bytes,
                max_image_bytes=settings.max_image_bytes,
                max_pixels=settings.max_pixels,
                max_map_pixels=settings.max_map_pixels,
            ),
        )

    async def healthz(self) -> Health:
        """For a supervisor that restarts what does not live."""
        return Health(status="ok")

    async def readyz(self) -> Health:
        """For a load balancer that sends requests where they are taken."""
        if not self._registry.is_running:
            raise RefusedError("stopping", "the service is stopping")
        return Health(status="ready")

    async def metrics(self) -> Response:
        """For Prometheus."""
        return Response(self._metrics.page(), media_type=CONTENT_TYPE)


def _refuse_unknown(given: Iterable[str]) -> None:
    """A mistyped parameter must not leave its default in force, unnoticed.

    Raises:
        RefusedError: a parameter that /v1/score has not.
    """
    unknown = [name for name in given if name not in _PARAMETERS]
    if unknown:
        names = ", ".join(repr(name[:60]) for name in unknown[:3])
        raise RefusedError(
            "wrong_query", f"there is no parameter {names}: there are {', '.join(_PARAMETERS)}"
        )


def _note(request: Request, answer: ScoreAnswer) -> None:
    note(
        request.scope,
        model=answer.model.name,
        images=len(answer.results),
        anomalous=sum(result.anomalous is True for result in answer.results),
        bad=sum(result.error is not None for result in answer.results),
    )


def _pixel_thresholds(model: Model, ranks: Sequence[int]) -> list[float] | None:
    calibration = model.calibration
    if calibration.map_peaks is None:
        return None
    total = calibration.map_peaks.size + 1
    return [calibration.pixel_threshold(rank / total).value for rank in ranks]


def _info(model: Model) -> ModelInfo:
    threshold = model.calibration.threshold(DEFAULT_RATE)
    ranks = ranks_offered(threshold.count)
    return ModelInfo(
        **name_of_model(model).model_dump(),
        kind=model.kind,
        image_sizes=list(model.scorer.image_sizes),
        cues=list(model.cues),
        localizes=model.localizes,
        held_out=threshold.count,
        false_alarm_rate=DEFAULT_RATE,
        threshold=threshold.value,
        guaranteed_rate=threshold.guaranteed,
        ranks=ranks,
        pixel_thresholds=_pixel_thresholds(model, ranks),
        loaded_at=model.loaded_at.isoformat(timespec="seconds"),
    )

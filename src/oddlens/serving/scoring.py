"""A request from uploads to answer: decode, batch, calibrate, draw."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, TypeVar

from oddlens.images.lookahead import default_workers
from oddlens.scoring import Threshold
from oddlens.serving.answering import written
from oddlens.serving.batching import ScoredImage
from oddlens.serving.decoding import Decoded, decoded
from oddlens.serving.faults import RefusedError
from oddlens.serving.heat import map_uri, map_values
from oddlens.serving.metrics import Metrics
from oddlens.serving.models import Model
from oddlens.serving.registry import Running
from oddlens.serving.schemas import Fault, Maps, MapValues, ModelName, Result, ScoreAnswer
from oddlens.serving.settings import Settings
from oddlens.serving.uploads import Upload

log = logging.getLogger("oddlens.serving")
P = ParamSpec("P")
T = TypeVar("T")

_FAILED = "could not be scored: a fault of the service, which its log describes"


@dataclass(frozen=True)
class Question:
    """How a request wants its images judged.

    Attributes:
        threshold: of images.
        pixel_threshold: of the pixels of maps, or None without maps.
        maps: whether maps are sent along.
    """

    threshold: Threshold
    pixel_threshold: Threshold | None
    maps: Maps

    @classmethod
    def to(cls, model: Model, false_alarm_rate: float, maps: Maps) -> Question:
        """What is asked of this model."""
        calibration = model.calibration
        localizes = calibration.map_peaks is not None
        return cls(
            calibration.threshold(false_alarm_rate),
            calibration.pixel_threshold(false_alarm_rate) if localizes else None,
            maps,
        )


class Desk:
    """Scores the uploads of requests.

    Decoding and drawing run in as many threads as there are cores, so that no more images than
    that are held in full size at a time.

    Args:
        settings: the limits.
        metrics: told of every image.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(default_workers(), "oddlens-images")

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()

    async def score(
        self, running: Running, uploads: Sequence[Upload], question: Question
    ) -> ScoreAnswer:
        """The answer to a request.

        Raises:
            RefusedError: its only image cannot be used, or it took too long.
        """
        try:
            async with asyncio.timeout(self._settings.answer_seconds), asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._one(running, index, upload, question))
                    for index, upload in enumerate(uploads)
                ]
        except TimeoutError:
            raise RefusedError(
                "took_too_long",
                f"not scored after {self._settings.answer_seconds:g} s: send fewer images at a "
                "time, or try again",
                {"Retry-After": "5"},
            ) from None
        results = [task.result() for task in tasks]
        if len(results) == 1 and results[0].error is not None:
            raise RefusedError(results[0].error.code, results[0].error.message)
        return _answer(running.model, question, results)

    async def written(self, answer: ScoreAnswer) -> bytes:
        """The answer as JSON; a large one would hold up everybody in the event loop."""
        return await self._in_thread(written, answer)

    async def _one(
        self, running: Running, index: int, upload: Upload, question: Question
    ) -> Result:
        """The result for one image; nothing that befalls it touches the others."""
        model = running.model
        blank = Result(index=index, file_name=upload.file_name, sha256="")
        try:
            seen = await self._in_thread(self._look, model, upload)
            blank = blank.model_copy(
                update={"sha256": seen.sha256, "width": seen.width, "height": seen.height}
            )
            if seen.views is None:
                return self._refused(model, blank, seen.fault)
            found = await running.batcher.score(seen.views, maps=question.maps != "none")
            drawn = await self._in_thread(_drawn, found, question)
        except Exception:
            log.exception("scoring failed", extra={"model": model.name})
            return self._refused(model, blank, ("failed", _FAILED))
        return self._scored(model, blank, found, question).model_copy(update=drawn)

    async def _in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        call = partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _look(self, model: Model, upload: Upload) -> Decoded:
        return decoded(
            upload,
            model.scorer.image_sizes,
            max_bytes=self._settings.max_image_bytes,
            max_pixels=self._settings.max_pixels,
        )

    def _refused(self, model: Model, blank: Result, fault: tuple[str, str]) -> Result:
        code, message = fault
        self._metrics.refused_image(model.name, code)
        return blank.model_copy(update={"error": Fault(code=code, message=message)})

    def _scored(
        self, model: Model, blank: Result, found: ScoredImage, question: Question
    ) -> Result:
        p_value = float(model.calibration.p_values([found.score])[0])
        flagged = found.score > question.threshold.value
        self._metrics.scored(model, found.score, p_value, flagged=flagged)
        standings = found.standings
        return blank.model_copy(
            update={
                "score": found.score,
                "p_value": p_value,
                "anomalous": flagged,
                "cues": found.cues,
                "standings": standings or None,
                "strongest_cue": max(standings, key=standings.__getitem__) if standings else None,
            }
        )


def _drawn(found: ScoredImage, question: Question) -> dict[str, str | MapValues]:
    """The map in the form that was asked for; nothing without a map."""
    if found.map is None or question.pixel_threshold is None:
        return {}
    if question.maps == "float16":
        return {"map_values": map_values(found.map)}
    return {"map": map_uri(found.map, question.pixel_threshold.value)}


def name_of_model(model: Model) -> ModelName:
    """Which model it was."""
    return ModelName(
        name=model.name, method=model.scorer.method, version=model.version, sha256=model.sha256
    )


def _answer(model: Model, question: Question, results: list[Result]) -> ScoreAnswer:
    threshold, pixels = question.threshold, question.pixel_threshold
    return ScoreAnswer(
        model=name_of_model(model),
        false_alarm_rate=threshold.wanted,
        guaranteed_rate=threshold.guaranteed,
        held_out=threshold.count,
        threshold=threshold.value,
        pixel_threshold=None if pixels is None else pixels.value,
        message=threshold.message,
        results=results,
    )

"""Dynamic micro-batching: images that wait at the same time are scored in one pass."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from oddlens.images.pixels import Pixels
from oddlens.predicting import PixelScorer

Views = dict[int, Pixels]


@dataclass(frozen=True, eq=False)
class ScoredImage:
    """What a model says of one image.

    Attributes:
        score: raw, finite.
        cues: raw.
        standings: in one unit; empty where the model cannot say.
        map: ``(H, W)`` float32, or None.
    """

    score: float
    cues: dict[str, float]
    standings: dict[str, float]
    map: npt.NDArray[np.float32] | None


@dataclass(frozen=True, eq=False)
class _Job:
    views: Views
    maps: bool
    answer: asyncio.Future[ScoredImage]


class _Signal(Enum):
    END = "nothing comes any more"
    PAUSE = "nothing comes now"


class Batcher:
    """Brings images that come one by one to a model in batches.

    While the model works on a batch, the next one gathers; what is alone starts at once but for a
    short wait. An image goes in with the future of its answer, so that answers cannot be mixed up.

    Args:
        scorer: the model.
        executor: where it works, away from the event loop.
        size: the most images in one pass.
        wait_seconds: how long a batch that is not full waits for more.
        observe: told of each pass, (images, seconds).
    """

    def __init__(
        self,
        scorer: PixelScorer,
        executor: Executor,
        *,
        size: int,
        wait_seconds: float,
        observe: Callable[[int, float], None],
    ) -> None:
        self._scorer = scorer
        self._executor = executor
        self._size = size
        self._wait = wait_seconds
        self._observe = observe
        self._jobs: asyncio.Queue[_Job | _Signal] = asyncio.Queue()
        self._worker = asyncio.create_task(self._work())

    async def score(self, views: Views, *, maps: bool) -> ScoredImage:
        """Score one image; ``views`` are its 8-bit pixels ``(S, S, 3)`` by size.

        Raises:
            Exception: whatever the model raised for this image.
        """
        answer = asyncio.get_running_loop().create_future()
        self._jobs.put_nowait(_Job(views, maps, answer))
        found: ScoredImage = await answer
        return found

    async def close(self) -> None:
        """Finish what was taken, and end. Nothing may be given afterwards."""
        self._jobs.put_nowait(_Signal.END)
        await self._worker

    async def _work(self) -> None:
        going_on = True
        while going_on:
            batch, going_on = await self._gather()
            # Who has given up waiting is not worth a pass.
            batch = [job for job in batch if not job.answer.done()]
            if batch:
                await self._pass(batch)

    async def _gather(self) -> tuple[list[_Job], bool]:
        """The next batch, and whether others can follow."""
        batch: list[_Job] = []
        coming: _Job | _Signal = await self._jobs.get()
        until = asyncio.get_running_loop().time() + self._wait
        while isinstance(coming, _Job):
            batch.append(coming)
            coming = await self._next(until) if len(batch) < self._size else _Signal.PAUSE
        return batch, coming is _Signal.PAUSE

    async def _next(self, until: float) -> _Job | _Signal:
        if not self._jobs.empty():
            return self._jobs.get_nowait()
        try:
            async with asyncio.timeout_at(until):
                return await self._jobs.get()
        except TimeoutError:
            return _Signal.PAUSE

    async def _pass(self, batch: list[_Job]) -> None:
        loop = asyncio.get_running_loop()
        started = time.perf_counter()
        try:
            found = await loop.run_in_executor(self._executor, _scored, self._scorer, batch)
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to who asked
            await self._after_failure(batch, error)
            return
        self._observe(len(batch), time.perf_counter() - started)
        for job, image in zip(batch, found, strict=True):
            if not job.answer.done():
                job.answer.set_result(image)

    async def _after_failure(self, batch: list[_Job], error: Exception) -> None:
        """One image's failure is not the others': each is tried alone."""
        if len(batch) > 1:
            for job in batch:
                await self._pass([job])
        elif not batch[0].answer.done():
            batch[0].answer.set_exception(error)


def _scored(scorer: PixelScorer, batch: list[_Job]) -> list[ScoredImage]:
    sizes = scorer.image_sizes
    views = {size: np.stack([job.views[size] for job in batch]) for size in sizes}
    scored = scorer.scored_pixels(views, maps=any(job.maps for job in batch))
    scores = np.asarray(scored.scores, np.float64)
    if not np.isfinite(scores).all():
        raise ValueError("the score is not finite")
    standings = scorer.standings(scored.cues)
    return [
        ScoredImage(
            float(scores[at]),
            {name: float(values[at]) for name, values in scored.cues.items()},
            {name: float(values[at]) for name, values in standings.items()},
            # A copy, so that the maps of the whole batch can go.
            scored.maps[at].copy() if job.maps and scored.maps is not None else None,
        )
        for at, job in enumerate(batch)
    ]

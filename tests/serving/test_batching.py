"""Batches: filled from what waits, never mixed up, and one image's failure is not the others'."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from oddlens.scoring import Scored
from oddlens.serving.batching import Batcher, Views

FloatArray = NDArray[np.float64]


class Mean:
    """Scores an image by its mean, notes its batches, and fails for white ones."""

    method = "mean"
    image_sizes = (2, 3)

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.may_go = threading.Event()
        self.may_go.set()

    def scored_pixels(self, views: dict[int, NDArray[np.uint8]], *, maps: bool = True) -> Scored:
        assert self.may_go.wait(60)
        small, large = views[2], views[3]
        assert small.shape[1:] == (2, 2, 3)
        assert large.shape[1:] == (3, 3, 3)
        self.batches.append(len(small))
        scores = small.mean(axis=(1, 2, 3)).astype(np.float64)
        assert np.array_equal(scores, large.mean(axis=(1, 2, 3)))
        if (scores == 255).any():
            raise ValueError("white")
        drawn = small[..., 0].astype(np.float32) if maps else None
        return Scored(np.where(scores == 254, np.nan, scores), {"mean": scores}, drawn)

    def standings(self, cues: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        return {name: -values for name, values in cues.items()}


def views(value: int) -> Views:
    return {size: np.full((size, size, 3), value, np.uint8) for size in (2, 3)}


@contextmanager
def worker() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def passes(mean: Mean, values: list[int], size: int, *, maps: bool = False) -> list[object]:
    """Score images that come all at once; the answers or errors in order."""

    async def run() -> list[object]:
        with worker() as pool:
            batcher = Batcher(mean, pool, size=size, wait_seconds=0.001, observe=lambda *_: None)
            found = await asyncio.gather(
                *(batcher.score(views(value), maps=maps) for value in values),
                return_exceptions=True,
            )
            await batcher.close()
            return list(found)

    return asyncio.run(run())


@pytest.mark.parametrize("size", [1, 3, 16])
def test_every_image_gets_its_own_answer(size: int) -> None:
    mean, values = Mean(), [int(each) for each in np.random.default_rng(0).integers(0, 250, 50)]
    found = passes(mean, values, size, maps=True)
    for value, answer in zip(values, found, strict=True):
        assert not isinstance(answer, BaseException)
        assert answer.score == value  # type: ignore[attr-defined]
        assert answer.cues == {"mean": value}  # type: ignore[attr-defined]
        assert answer.standings == {"mean": -value}  # type: ignore[attr-defined]
        assert (answer.map == value).all()  # type: ignore[attr-defined]
    assert max(mean.batches) <= size
    assert sum(mean.batches) == 50


def test_what_waits_together_is_scored_together() -> None:
    mean = Mean()
    passes(mean, list(range(40)), 16)
    assert mean.batches == [16, 16, 8]


def test_maps_are_given_to_whom_they_belong() -> None:
    async def run() -> None:
        with worker() as pool:
            batcher = Batcher(Mean(), pool, size=8, wait_seconds=0.01, observe=lambda *_: None)
            with_map, without = await asyncio.gather(
                batcher.score(views(1), maps=True), batcher.score(views(2), maps=False)
            )
            assert with_map.map is not None
            assert without.map is None
            await batcher.close()

    asyncio.run(run())


@pytest.mark.parametrize("bad", [255, 254])
def test_one_failure_is_not_the_others(bad: int) -> None:
    found = passes(Mean(), [1, bad, 3], 16)
    assert isinstance(found[1], ValueError)
    assert [each.score for each in (found[0], found[2])] == [1, 3]  # type: ignore[attr-defined]


def test_who_gave_up_waiting_costs_no_pass() -> None:
    mean = Mean()

    async def run() -> None:
        with worker() as pool:
            batcher = Batcher(mean, pool, size=1, wait_seconds=0, observe=lambda *_: None)
            mean.may_go.clear()
            first = asyncio.create_task(batcher.score(views(1), maps=False))
            gone = asyncio.create_task(batcher.score(views(2), maps=False))
            last = asyncio.create_task(batcher.score(views(3), maps=False))
            await asyncio.sleep(0.01)
            gone.cancel()
            mean.may_go.set()
            assert [(await each).score for each in (first, last)] == [1, 3]
            await batcher.close()

    asyncio.run(run())
    assert mean.batches == [1, 1]


def test_closing_finishes_what_was_taken() -> None:
    async def run() -> list[float]:
        with worker() as pool:
            batcher = Batcher(Mean(), pool, size=4, wait_seconds=5, observe=lambda *_: None)
            tasks = [
                asyncio.create_task(batcher.score(views(value), maps=False)) for value in range(9)
            ]
            await asyncio.sleep(0)
            await batcher.close()
            return [(await task).score for task in tasks]

    assert asyncio.run(run()) == list(range(9))


def test_each_pass_is_told() -> None:
    told: list[int] = []

    async def run() -> None:
        with worker() as pool:
            batcher = Batcher(
                Mean(), pool, size=2, wait_seconds=0, observe=lambda images, _: told.append(images)
            )
            score = partial(batcher.score, maps=False)
            await asyncio.gather(*(score(views(value)) for value in range(3)))
            await batcher.close()

    asyncio.run(run())
    assert told == [2, 1]

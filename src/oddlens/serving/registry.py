"""Models in service: each with its batcher, and replaced without dropping a request."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from oddlens.errors import OddlensError, UsageError
from oddlens.serving.admission import Pace
from oddlens.serving.batching import Batcher
from oddlens.serving.faults import RefusedError
from oddlens.serving.metrics import Metrics
from oddlens.serving.models import Model, fingerprint, load_model, name_of
from oddlens.serving.settings import Settings

log = logging.getLogger("oddlens.serving")


class Running:
    """One loaded model at work.

    Args:
        model: what is loaded.
        batcher: brings images to it.
    """

    def __init__(self, model: Model, batcher: Batcher) -> None:
        self.model = model
        self.batcher = batcher
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()

    @contextmanager
    def used(self) -> Iterator[None]:
        """Keep it at work while the block runs, even if another takes its place."""
        self._users += 1
        self._unused.clear()
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._unused.set()

    async def retire(self) -> None:
        """Wait until nobody uses it, and end it."""
        await self._unused.wait()
        await self.batcher.close()


class Registry:
    """The models by name.

    All share one thread that scores: a model uses every core by itself.

    Args:
        paths: of the models; the first is the default.
        settings: for the batches.
        metrics: told of passes and reloads.

    Attributes:
        pace: of all models together.

    Raises:
        UsageError: no model, or two of the same name.
        ArtifactError: a model cannot be loaded.
    """

    def __init__(self, paths: Sequence[Path], settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self.pace = Pace()
        self._loaded = {model.name: model for model in map(load_model, _distinct(paths))}
        self._running: dict[str, Running] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        self._reloading = asyncio.Lock()
        self._scoring = ThreadPoolExecutor(1, "oddlens-scoring")
        self._loading = ThreadPoolExecutor(1, "oddlens-loading")

    @property
    def models(self) -> list[Model]:
        """What is served, the default first."""
        return list(self._loaded.values())

    @property
    def is_running(self) -> bool:
        """Whether requests are served."""
        return bool(self._running)

    def start(self) -> None:
        """Begin to serve; called in the event loop."""
        for model in self.models:
            self._put(model)

    async def stop(self) -> None:
        """Finish what was taken, and end."""
        running, self._running = self._running, {}
        await asyncio.gather(*(each.retire() for each in running.values()), *self._retiring)
        async with self._reloading:
            pass  # one that has begun needs its thread
        self._scoring.shutdown()
        self._loading.shutdown()

    def get(self, name: str | None) -> Running:
        """A model by its name; the default for None.

        Raises:
            RefusedError: there is none of this name, or the service is stopping.
        """
        if not self._running:
            raise RefusedError("stopping", "the service is stopping: try again in a moment")
        if name is None:
            return self._running[next(iter(self._loaded))]
        if name not in self._running:
            known = ", ".join(self._running)
            raise RefusedError(
                "no_such_model", f"there is no model {name[:60]!r}: there are {known}"
            )
        return self._running[name]

    async def reload(self) -> None:
        """Load every model anew whose file has changed.

        Requests that have begun end with the model that they began with. A model that cannot be
        loaded stays as it is, and is told in the log.
        """
        async with self._reloading:
            for model in self.models:
                if self._running:
                    await self._renew(model)

    async def _renew(self, model: Model) -> None:
        loop = asyncio.get_running_loop()
        try:
            if await loop.run_in_executor(self._loading, fingerprint, model.path) == model.sha256:
                return
            fresh = await loop.run_in_executor(self._loading, load_model, model.path)
        except Exception as error:
            self._metrics.reloaded(model.name, ok=False)
            known = isinstance(error, OddlensError)
            reason = str(error) if known else f"{type(error).__name__}: {error}"
            log.error(
                "reload failed",
                extra={"model": model.name, "reason": reason},
                exc_info=None if known else error,
            )
            return
        if self._running:
            self._put(fresh)
            self._metrics.reloaded(model.name, ok=True)
            log.info("reloaded", extra={"model": model.name, "sha256": fresh.sha256})

    def _passed(self, name: str, images: int, seconds: float) -> None:
        self.pace.told(images, seconds)
        self._metrics.passed(name, images, seconds)

    def _put(self, model: Model) -> None:
        batcher = Batcher(
            model.scorer,
            self._scoring,
            size=self._settings.batch_size,
            wait_seconds=self._settings.batch_wait_ms / 1000,
            observe=partial(self._passed, model.name),
        )
        before = self._running.get(model.name)
        self._running[model.name] = Running(model, batcher)
        self._loaded[model.name] = model
        self._metrics.serve(model)
        if before is not None:
            task = asyncio.create_task(before.retire())
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)


def _distinct(paths: Sequence[Path]) -> Sequence[Path]:
    if not paths:
        raise UsageError("there is no model to serve: give one or more")
    names = Counter(map(name_of, paths))
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise UsageError(
            f"two models are called {twice[0]!r}, and callers choose by name: rename a file"
        )
    return paths

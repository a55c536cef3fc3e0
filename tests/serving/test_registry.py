"""Models in service: loading them anew drops nothing, and a bad file changes nothing."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from oddlens.errors import ArtifactError, UsageError
from oddlens.export.onnx_detector import OnnxDetector
from oddlens.serving.faults import RefusedError
from oddlens.serving.metrics import Metrics
from oddlens.serving.models import fingerprint, load_model
from oddlens.serving.registry import Registry, Running
from oddlens.serving.settings import Settings
from tests.serving.toy import SIZE, write_toy


def registry(*paths: Path) -> Registry:
    return Registry(paths, Settings(), Metrics())


async def white(running: Running) -> float:
    views = {SIZE: np.full((SIZE, SIZE, 3), 255, np.uint8)}
    with running.used():
        return (await running.batcher.score(views, maps=False)).score


def test_a_changed_file_is_loaded_and_the_same_file_is_not(tmp_path: Path) -> None:
    path = write_toy(tmp_path / "m.onnx")

    async def run() -> None:
        models = registry(path)
        models.start()
        first = models.get(None)
        await models.reload()
        assert models.get(None) is first
        write_toy(path, added=5.0)
        await models.reload()
        assert models.get("m").model.sha256 != first.model.sha256
        assert await white(models.get(None)) == pytest.approx(6)
        await models.stop()

    asyncio.run(run())


def test_who_has_begun_ends_with_the_model_that_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_toy(tmp_path / "m.onnx")
    may_go, scored = threading.Event(), OnnxDetector.scored_pixels

    async def run() -> None:
        models = registry(path)
        models.start()
        old = models.get(None)

        def slow(self: OnnxDetector, *args: object, **kwargs: object) -> object:
            assert self is not old.model.scorer or may_go.wait(60)
            return scored(self, *args, **kwargs)  # type: ignore[arg-type]

        monkeypatch.setattr(OnnxDetector, "scored_pixels", slow)
        begun = asyncio.create_task(white(old))
        await asyncio.sleep(0)
        write_toy(path, added=5.0)
        await models.reload()
        assert models.get(None) is not old
        assert not begun.done()
        may_go.set()
        assert await white(models.get(None)) == pytest.approx(6)
        assert await begun == pytest.approx(1)
        await models.stop()

    asyncio.run(run())


def test_a_model_that_is_replaced_ends_when_nobody_uses_it(tmp_path: Path) -> None:
    path = write_toy(tmp_path / "m.onnx")

    async def run() -> None:
        models = registry(path)
        models.start()
        old = models.get(None)
        with old.used():
            write_toy(path, added=5.0)
            await models.reload()
            await asyncio.sleep(0.01)
            assert await white(old) == pytest.approx(1)
        await models.stop()

    asyncio.run(run())


@pytest.mark.parametrize("content", [b"", b"no model", None])
def test_a_file_that_cannot_be_loaded_changes_nothing(
    tmp_path: Path, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_toy(tmp_path / "m.onnx")

    async def run() -> None:
        models = registry(path)
        models.start()
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        await models.reload()
        assert await white(models.get(None)) == pytest.approx(1)
        assert "reload failed" in caplog.text
        write_toy(path, added=1.0)
        await models.reload()
        assert await white(models.get(None)) == pytest.approx(2)
        await models.stop()

    asyncio.run(run())


def test_what_a_library_raises_at_a_strange_file_changes_nothing_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_toy(tmp_path / "m.onnx")

    async def run() -> None:
        models = registry(path)
        models.start()
        write_toy(path, added=1.0)
        with monkeypatch.context() as patch:
            patch.setattr(OnnxDetector, "load", Mock(side_effect=RuntimeError("out of luck")))
            await models.reload()
        assert "reload failed" in caplog.text
        assert await white(models.get(None)) == pytest.approx(1)
        await models.reload()
        assert await white(models.get(None)) == pytest.approx(2)
        await models.stop()

    asyncio.run(run())


def test_an_end_during_a_reload_is_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [write_toy(tmp_path / f"{name}.onnx") for name in "ab"]
    may_go, loading = threading.Event(), threading.Event()
    load, loaded = OnnxDetector.load, []

    def slow(where: Path) -> OnnxDetector:
        loading.set()
        assert may_go.wait(60)
        loaded.append(where)
        return load(where)

    async def run() -> None:
        models = registry(*paths)
        models.start()
        for path in paths:
            write_toy(path, added=1.0)
        monkeypatch.setattr(OnnxDetector, "load", slow)
        reload = asyncio.create_task(models.reload())
        await asyncio.to_thread(loading.wait, 60)
        end = asyncio.create_task(models.stop())
        await asyncio.sleep(0.01)
        may_go.set()
        await end
        await reload
        await models.reload()  # nor does one that comes too late do harm
        assert loaded == paths[:1]
        assert models.models[0].sha256 != fingerprint(paths[0])

    asyncio.run(run())


def test_a_stopped_registry_takes_nothing(toy: Path) -> None:
    async def run() -> None:
        models = registry(toy)
        with pytest.raises(RefusedError, match="stopping"):
            models.get(None)
        models.start()
        await models.stop()
        with pytest.raises(RefusedError, match="stopping"):
            models.get(None)

    asyncio.run(run())


def test_what_cannot_be_served_is_told(toy: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no model"):
        registry()
    (tmp_path / "other").mkdir()
    same = write_toy(tmp_path / "other" / "toy.onnx")
    with pytest.raises(UsageError, match="'toy'"):
        registry(toy, same)
    with pytest.raises(ArtifactError, match="nix.onnx"):
        registry(tmp_path / "nix.onnx")
    with pytest.raises(ArtifactError, match="nix"):
        registry(tmp_path / "nix")


def test_a_file_that_is_replaced_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, load = write_toy(tmp_path / "m.onnx"), OnnxDetector.load
    times: list[int] = []

    def replaced_meanwhile(where: Path) -> OnnxDetector:
        found = load(where)
        if not times:
            write_toy(where, added=3.0)
        times.append(1)
        return found

    monkeypatch.setattr(OnnxDetector, "load", replaced_meanwhile)
    model = load_model(path)
    views = {SIZE: np.zeros((1, SIZE, SIZE, 3), np.uint8)}
    assert model.scorer.scored_pixels(views).scores[0] == pytest.approx(3)
    assert len(times) == 2

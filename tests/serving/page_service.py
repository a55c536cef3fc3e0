"""Tiny models and images for the page, and a Chromium that opens it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from oddlens.export import load_onnx, to_onnx
from oddlens.export.onnx_detector import OnnxDetector
from tests.export.models import fitted, odd_pictures

PATIENCE = 60_000  # ms: a busy machine is not a failure
expect.set_options(timeout=PATIENCE)


@dataclass(frozen=True)
class House:
    """What the tests share.

    Attributes:
        models: two .onnx files: "first" has maps and two cues, "second" no maps.
        images: a folder of six images, half of them odd, and a broken one in a folder below.
    """

    models: list[Path]
    images: Path

    @property
    def first(self) -> OnnxDetector:
        """The model that the page asks, in this process."""
        return load_onnx(self.models[0])


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where the system's Chromium is; whatever needs it is skipped before it does any work."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    return path


@pytest.fixture(scope="session")
def house(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> House:
    del chromium
    root = tmp_path_factory.mktemp("page")
    models = [root / "first.onnx", root / "second.onnx"]
    for path, name in zip(models, ("ssm drawn", "multitask"), strict=True):
        to_onnx(fitted(name), path)
    images = root / "images"
    (images / "below").mkdir(parents=True)
    for index, picture in enumerate(odd_pictures(6, seed=3)):
        Image.fromarray(picture).save(images / f"{index}.png")
    (images / "below" / "broken.png").write_bytes(b"no picture")
    (images / "below" / "notes.txt").write_text("no image at all")
    return House(models, images)


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # A container's root may not make the sandbox; the page is our own.
        started = playwright.chromium.launch(executable_path=chromium, chromium_sandbox=False)
        yield started
        started.close()


@contextmanager
def opened(browser: Browser, address: str, **options: Any) -> Iterator[Page]:
    """The page in a context of its own; nothing may be written to its console as an error."""
    context = browser.new_context(viewport={"width": 1200, "height": 900}, **options)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda told: (
            # Chromium notes every status of 400 and more; those are what some tests are about.
            complaints.append(told.text)
            if told.type == "error" and "Failed to load resource" not in told.text
            else None
        ),
    )
    page.goto(address)
    yield page
    context.close()
    assert complaints == []

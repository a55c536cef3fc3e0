"""A running `oddlens serve` with tiny models, and a Chromium that opens its page."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from oddlens.export import load_onnx, to_onnx
from oddlens.export.onnx_detector import OnnxDetector
from tests.export.models import fitted, odd_pictures

expect.set_options(timeout=60_000)  # ms: a busy machine is not a failure
TOKEN = "a-token-of-the-tests"
_CLI = "import sys; from oddlens.cli import main; sys.exit(main(sys.argv[1:]))"
_CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


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
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
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


@contextmanager
def served(models: list[Path], **environment: str) -> Iterator[str]:
    """A service in a process of its own; its address."""
    # A log into a pipe that nobody reads would fill it, and the service would wait for ever.
    with tempfile.NamedTemporaryFile("r", suffix=".log") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _CLI, "serve", *map(str, models), "--port", "0"],
            stderr=Path(log.name).open("w"),
            env={**os.environ, **environment},
        )
        with process:
            try:
                yield f"http://127.0.0.1:{_port(process, log)}"
            finally:
                process.terminate()


def _port(process: subprocess.Popen[bytes], log: IO[str]) -> int:
    lines: list[str] = []
    while process.poll() is None:
        lines += log.readlines()
        for line in lines:
            told: dict[str, Any] = json.loads(line) if line.endswith("}\n") else {}
            if "port" in told:
                return int(told["port"])
        time.sleep(0.05)
    pytest.fail("the service ended: " + "".join(lines))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if _CHROMIUM is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        # A container's root may not make the sandbox; the page is our own.
        started = playwright.chromium.launch(executable_path=_CHROMIUM, chromium_sandbox=False)
        yield started
        started.close()


@contextmanager
def opened(browser: Browser, address: str, **options: Any) -> Iterator[Page]:
    """The page in a context of its own; nothing may be written to its console as an error."""
    context = browser.new_context(viewport={"width": 1200, "height": 900}, **options)
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

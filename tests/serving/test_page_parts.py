"""Single parts of the page, called in the browser and held to what Python says."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from oddlens.report.heat import palette
from oddlens.report.words import at_most_percent
from oddlens.scoring import Calibration
from oddlens.serving.heat import map_uri, map_values, rounded_down
from oddlens.serving.rates import ranks_offered
from tests.serving.page_service import browser, chromium, opened
from tests.serving.process import service

__all__ = ["browser", "chromium"]

pytestmark = pytest.mark.slow  # a browser takes seconds


@pytest.fixture(scope="module")
def page(browser: Browser, toy: Path) -> Iterator[Page]:
    with service(toy) as running, opened(browser, running.url) as fresh:
        expect(fresh.locator("#model-about")).not_to_be_empty()
        yield fresh


def call(page: Page, module: str, expression: str, argument: Any = None) -> Any:
    """A JavaScript expression of ``m``, the module, and ``x``, the argument."""
    return page.evaluate(f"x => import('/{module}.js').then(m => {expression})", argument)


@pytest.mark.parametrize("held_out", [1, 7, 99, 250, 4000])
def test_ranks_are_those_of_the_calibration(page: Page, held_out: int) -> None:
    calibration = Calibration(np.arange(held_out, dtype=np.float64))
    p_values = calibration.p_values(np.arange(held_out + 1) - 0.5)
    found = call(page, "rates", f"x.map(p => m.rankOf(p, {held_out}))", p_values.tolist())
    assert found == list(range(held_out + 1, 0, -1))
    ranks = ranks_offered(held_out)
    for rate in (1e-4, 0.01, 0.05, 0.3):
        place = call(page, "rates", f"m.placeOfRate({rate}, {held_out}, x)", ranks)
        allowed = round(calibration.threshold(rate).guaranteed * (held_out + 1))
        assert ranks[place] == max(rank for rank in ranks if rank <= allowed)


def test_a_bound_is_written_as_in_the_report(page: Page) -> None:
    bounds = [k / n for n in (2, 3, 29, 100, 101, 1000, 12345) for k in (1, 2) if k < n]
    assert call(page, "words", "x.map(m.atMostPercent)", bounds) == [
        at_most_percent(bound) for bound in bounds
    ]


@pytest.mark.parametrize("threshold", [0.25, 5.8, -0.7])
def test_heat_maps_have_the_colours_of_the_services_pictures(page: Page, threshold: float) -> None:
    values = np.linspace(threshold - 9, threshold + 60, 4100, dtype=np.float32).reshape(10, -1)
    values[0, 0] = threshold
    sent = map_values(values).model_dump()
    found = call(page, "heat", "[...m.painted(m.read(x[0]).codes, x[1])]", [sent, threshold])
    rounded = rounded_down(values).astype(np.float32)
    uri = map_uri(rounded, threshold)
    picture = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    assert found == np.asarray(picture).ravel().tolist()
    assert call(page, "heat", "[...m.palette()]") == palette().ravel().tolist()


def test_every_16_bit_value_is_read(page: Page) -> None:
    values = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float64)
    found = np.array(call(page, "heat", "[...m.VALUES]"), np.float64)
    finite = np.isfinite(values)
    assert np.array_equal(found[finite], values[finite])
    assert np.isnan(found[~finite]).all()


def test_a_large_map_keeps_its_peaks_and_little_else(page: Page) -> None:
    values = np.random.default_rng(0).normal(size=(1024, 700)).astype(np.float32)
    sent = map_values(values).model_dump()
    look = "(map => [map.width, map.height, map.codes.byteLength, [...map.codes]])(m.read(x))"
    width, height, held, codes = call(page, "heat", look, sent)
    assert (width, height, held) == (350, 512, 2 * 350 * 512)
    wanted = rounded_down(values).reshape(512, 2, 350, 2).max(axis=(1, 3))
    assert np.array_equal(np.uint16(codes).view(np.float16).reshape(512, 350), wanted)


def test_csv_is_read_back(page: Page) -> None:
    cues = {"a": 0.1 + 0.2, "b,c": -1e-17}
    scored = {"score": 1 / 3, "p_value": 0.01, "cues": cues}
    names = ['quo"te, comma.png', "line\nbreak.png", "-1+1.png", "ünï/çode.png"]
    rows = [{"name": name, "flagged": True, "answer": scored} for name in names]
    failed = {"name": "no.png", "flagged": False, "answer": {"error": {"message": "It is empty."}}}
    text = call(page, "csv", "m.toCsv(x[0], x[1])", [[*rows, failed], list(cues)])
    table = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["path"] for row in table] == [*names[:2], "./-1+1.png", names[3], "no.png"]
    for row in table[:-1]:
        assert float(row["score"]) == 1 / 3
        assert float(row["cue.a"]) == cues["a"]
        assert float(row["cue.b,c"]) == cues["b,c"]
        assert (row["is_anomaly"], row["error"]) == ("true", "")
    assert (table[-1]["score"], table[-1]["error"]) == ("", "It is empty.")


def test_retry_after_is_seconds_or_a_date(page: Page) -> None:
    assert call(page, "api", "x.map(m.secondsOf)", ["7", "", None, "soon"]) == [7, None, None, None]
    in_a_minute = "new Date(Date.now() + 60_000).toUTCString()"
    assert 55 < call(page, "api", f"m.secondsOf({in_a_minute})") <= 60

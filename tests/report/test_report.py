"""The HTML report: self-contained, bounded, harmless, whole or absent."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oddlens.errors import OddlensError, UsageError
from oddlens.images import Skipped, open_source
from oddlens.predictions import Predictions, PredictionWriter
from oddlens.report import write_report
from oddlens.scoring import Calibration

EVIL = '<script>alert(1)</script>" onload="x.png'


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, and text by element."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self._open):
            self.text += data

    def all(self, tag: str, css: str = "") -> list[dict[str, str]]:
        return [
            attributes
            for name, attributes in self.elements
            if name == tag and set(css.split()) <= set(attributes.get("class", "").split())
        ]


def _predictions(
    scores: list[float],
    *,
    names: list[str] | None = None,
    maps: bool = True,
    pixels: bool = True,
    skipped: tuple[Skipped, ...] = (),
    shape: tuple[int, int] = (40, 60),
) -> Predictions:
    """Predictions of noise images; map i is 1 on a patch of i + 1 rows, else 0."""
    calibration = Calibration(scores=np.linspace(0, 1, 49), map_peaks=np.linspace(0, 0.5, 49))
    threshold = calibration.threshold(0.05)
    rng = np.random.default_rng(0)
    source = open_source(rng.integers(0, 255, (len(scores), *shape, 3), dtype=np.uint8))
    writer = PredictionWriter(
        threshold,
        pixel_threshold=calibration.pixel_threshold(0.05) if maps else None,
        source=source if pixels else None,
        method="SSM",
    )
    for index, score in enumerate(scores):
        field = np.zeros((1, 16, 16), np.float32)
        field[0, : min(index, 15), 3:9] = 1
        writer.add(
            [names[index] if names else source.name(index)],
            [score],
            calibration.p_values(np.array([score])),
            [score > threshold.value],
            {"error": [score], "structure": [1.0], "hue": [0.0], "edge": [2.0]},
            field if maps else None,
        )
    return writer.finish(skipped)


def test_nothing_is_fetched_from_anywhere(tmp_path: Path) -> None:
    page = Page(write_report(_predictions([0.1, 3.0]), tmp_path / "r.html", masks=None))
    for _, attributes in page.elements:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            assert attributes.get(name, "data:").startswith("data:image/webp;base64,") or (
                name not in attributes
            )
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|url\(|@import|<link", text)
    policy = page.all("meta")[1]["content"]
    assert "default-src 'none'" in policy


def test_the_policy_admits_the_one_script_and_no_other(tmp_path: Path) -> None:
    import hashlib

    path = write_report(_predictions([0.1]), tmp_path / "r.html")
    text = path.read_text(encoding="utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in Page(path).all("meta")[1]["content"]


def test_names_notes_and_reasons_are_harmless(tmp_path: Path) -> None:
    predictions = _predictions(
        [3.0, 0.1], names=[EVIL, "b.png"], skipped=(Skipped(EVIL, "<b>broken</b>"),)
    )
    path = write_report(
        predictions, tmp_path / "r.html", title=EVIL, note=EVIL, metrics={EVIL: EVIL}
    )
    page = Page(path)
    assert len(page.all("script")) == 1
    assert not any("onload" in attributes for _, attributes in page.elements)
    assert page.text.count("alert(1)") >= 5
    assert "<b>broken</b>" in page.text
    assert any(h3.get("title") == EVIL for h3 in page.all("h3"))


def test_names_that_are_no_utf8_do_not_stop_the_report(tmp_path: Path) -> None:
    predictions = _predictions([0.1], names=["bad\udcff.png"])
    assert b"bad\xff.png" in write_report(predictions, tmp_path / "r.html").read_bytes()


def test_summary_says_what_happened(tmp_path: Path) -> None:
    predictions = _predictions([3.0, 2.0, 0.1, 0.2], skipped=(Skipped("bad.jpg", "truncated"),))
    path = write_report(
        predictions, tmp_path / "r.html", labels=[True, False, True, False], note="Made defects."
    )
    text = Page(path).text
    assert "The SSM detector scored 4 images and flagged 2 as anomalous" in text
    assert "Of 2 images known to be anomalous, 1 was found and 1 missed" in text
    assert "Of 2 images known to be normal, 1 was flagged by mistake" in text
    assert "49 held-out normal images" in text
    assert "at most 4% of new normal images" in text
    assert "1 file was skipped" in text
    assert "bad.jpg truncated" in text
    assert "Made defects." in text
    assert "AUROC is 0.500" in text


def test_the_limits_of_a_small_calibration_are_said(tmp_path: Path) -> None:
    predictions = _predictions([0.1])
    small = Calibration(scores=np.array([0.0, 1.0])).threshold(0.01)
    tight = Predictions(
        predictions.names, predictions.scores, predictions.p_values, predictions.is_anomaly,
        predictions.cues, small, method="SSM",
    )  # fmt: skip
    assert small.message is not None
    text = Page(write_report(tight, tmp_path / "r.html")).text
    assert small.message in text
    assert "at most 33.4%" in text  # 1/3, never rounded down


def test_cards_are_sorted_by_score_and_carry_verdicts(tmp_path: Path) -> None:
    predictions = _predictions([0.3, 5.0, -2.0, 0.99])
    page = Page(write_report(predictions, tmp_path / "r.html", labels=[True, True, False, False]))
    cards = page.all("li", "card")
    assert [float(card["data-score"]) for card in cards] == [5.0, 0.99, 0.3, -2.0]
    assert [card["data-verdict"] for card in cards] == ["flagged", "flagged", "passed", "passed"]
    assert [card["data-error"] for card in cards] == ["", "falsealarm", "miss", ""]
    filters = {button["data-filter"] for button in page.all("button") if "data-filter" in button}
    assert filters == {"all", "flagged", "passed", "miss", "falsealarm"}


def test_without_labels_there_is_no_talk_of_misses(tmp_path: Path) -> None:
    page = Page(write_report(_predictions([0.3, 5.0]), tmp_path / "r.html"))
    assert "miss" not in page.text.lower()
    assert "AUROC" not in page.text
    assert len(page.all("svg", "plot")) == 1


def test_outline_is_drawn_exactly_for_maps_above_the_pixel_threshold(tmp_path: Path) -> None:
    predictions = _predictions([0.1, 0.2, 0.3])  # map 0 is all zero
    page = Page(write_report(predictions, tmp_path / "r.html"))
    found = [path for path in page.all("path", "found") if "casing" not in path["class"]]
    assert len(found) == 2
    assert len(page.all("img", "heat")) == 3


def test_ground_truth_outline_where_masks_are_given(tmp_path: Path) -> None:
    predictions = _predictions([0.1, 3.0])
    mask = np.zeros((30, 30), bool)
    mask[3:9, 4:20] = True
    file = tmp_path / "mask.png"
    Image.fromarray(mask).save(file)
    for masks in ([None, mask], [None, file], {predictions.names[1]: file}):
        page = Page(write_report(predictions, tmp_path / "r.html", masks=masks))
        assert len(page.all("path", "truth casing")) == 1


def test_thousands_of_images_stay_bounded_and_the_page_says_so(tmp_path: Path) -> None:
    scores = [float(s) for s in np.random.default_rng(1).permutation(500) / 400]
    predictions = _predictions(scores, shape=(16, 16))
    labels = np.zeros(500, bool)
    lowest = int(np.argsort(scores)[100])
    labels[lowest] = True  # a miss far down the ranking
    path = write_report(predictions, tmp_path / "r.html", labels=labels, max_images=40)
    page = Page(path)
    cards = page.all("li", "card")
    assert len(cards) == 40
    shown = [float(card["data-score"]) for card in cards]
    assert shown[:30] == sorted(scores, reverse=True)[:30]
    assert scores[lowest] in shown
    assert shown[-1] == min(scores)
    assert "40 of 500 images" in page.text
    assert "the CSV file has all" in page.text


def test_large_pictures_are_shrunk_and_keep_their_shape(tmp_path: Path) -> None:
    predictions = _predictions([3.0], shape=(400, 1600))
    page = Page(write_report(predictions, tmp_path / "r.html"))
    uri = page.all("img", "photo")[0]["src"]
    payload = base64.b64decode(uri.partition(",")[2])
    assert Image.open(io.BytesIO(payload)).size == (384, 96)
    assert len(payload) <= 40_000
    assert page.all("span", "stack")[0]["style"] == "aspect-ratio:384/96"


def test_each_prediction_gets_its_own_image_when_some_were_skipped(tmp_path: Path) -> None:
    for index, level in enumerate((0, 120, 250)):
        Image.new("RGB", (32, 32), (level,) * 3).save(tmp_path / f"{index}.png")
    source = open_source([tmp_path / f"{index}.png" for index in range(3)])
    base = _predictions([3.0, 2.0], maps=False, pixels=False)
    predictions = Predictions(
        [str(tmp_path / "0.png"), str(tmp_path / "2.png")], base.scores, base.p_values,
        base.is_anomaly, base.cues, base.threshold, source=source,
    )  # fmt: skip
    page = Page(write_report(predictions, tmp_path / "r.html"))
    levels = []
    for image in page.all("img", "photo"):
        payload = base64.b64decode(image["src"].partition(",")[2])
        levels.append(float(np.asarray(Image.open(io.BytesIO(payload)).convert("L")).mean()))
    np.testing.assert_allclose(levels, [0, 250], atol=4)


def test_without_maps_images_or_predictions_there_is_still_a_page(tmp_path: Path) -> None:
    bare = _predictions([0.1, 2.0], maps=False, pixels=False)
    page = Page(write_report(bare, tmp_path / "bare.html"))
    assert not page.all("img")
    assert "Heat map" not in page.text
    none = bare[np.zeros(2, bool)]
    assert "scored 0 images" in Page(write_report(none, tmp_path / "none.html")).text


def test_an_image_that_is_gone_is_said_to_be_gone(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(file)
    base = _predictions([3.0])
    gone = Predictions(
        [str(file)], base.scores, base.p_values, base.is_anomaly, base.cues, base.threshold,
        base.pixel_threshold, base.maps, source=open_source([file]),
    )  # fmt: skip
    file.unlink()
    page = Page(write_report(gone, tmp_path / "r.html"))
    assert "image not at hand" in page.text
    assert not page.all("img", "photo")


def test_metrics_are_shown_with_their_intervals(tmp_path: Path) -> None:
    metrics = {
        "image_auroc": 0.9876, "image_auroc_low": 0.95, "image_auroc_high": 1.0, "aupro": None,
        "n_normal": 1200, "provenance": {"seed": 7},
    }  # fmt: skip
    path = write_report(
        _predictions([0.1, 2.0]), tmp_path / "r.html", labels=[0, 1], metrics=metrics
    )
    text = Page(path).text
    assert "0.988" in text
    assert "0.950 to 1.000" in text
    assert "AUROC is 0.988 (0.950–1.000)" in text
    assert "1,200" in text
    assert "seed7" in text
    assert "AUPRO" not in text
    (folded,) = Page(path).all("details", "measured")
    assert "open" not in folded


def test_a_failure_leaves_the_old_report_and_no_debris(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.html"
    path.write_text("old")

    def interrupted(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("oddlens.report.page._foot", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_report(_predictions([0.1]), path)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["r.html"]


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OddlensError, match="file"):
        write_report(_predictions([0.1]), tmp_path / "file" / "r.html")


def test_labels_and_masks_must_fit(tmp_path: Path) -> None:
    predictions = _predictions([0.1, 0.2])
    with pytest.raises(UsageError, match="3 labels were given for 2 predictions"):
        write_report(predictions, tmp_path / "r.html", labels=[True, False, True])
    with pytest.raises(UsageError, match="1 masks"):
        write_report(predictions, tmp_path / "r.html", masks=[None])
    with pytest.raises(UsageError, match="max_images"):
        write_report(predictions, tmp_path / "r.html", max_images=0)
    assert not list(tmp_path.iterdir())


def test_nested_provenance_is_told_in_words() -> None:
    from oddlens.report.words import origin_list

    told = origin_list({"provenance": {"detector": {"seed": 7, "stages": [{"steps": 3}]}, "n": 2}})
    assert "<dd>seed 7</dd>" in told
    assert "<dd>2</dd>" in told
    assert "{" not in told

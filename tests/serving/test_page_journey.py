"""The journey of a user through the page, in a real browser at a real service."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image
from playwright.sync_api import Browser, Locator, Page, Request, expect

from oddlens.serving.heat import rounded_down
from tests.export.models import odd_pictures
from tests.serving.page_service import House, browser, chromium, house, opened
from tests.serving.process import service

__all__ = ["browser", "chromium", "house"]

pytestmark = pytest.mark.slow  # a browser takes seconds

SCORED = ".card[data-verdict=flagged], .card[data-verdict=passed]"
HELD_OUT = 12  # of the 18 images that are held out, two thirds calibrate


@pytest.fixture(scope="module")
def address(house: House) -> Iterator[str]:
    with service(*house.models) as running:
        yield running.url


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with opened(browser, address) as fresh:
        expect(fresh.locator("#model-about")).not_to_be_empty()
        yield fresh


ODD_PIXELS = """() => [...document.querySelectorAll(".card .heat")].map((map) => {
  const { data } = map.getContext("2d").getImageData(0, 0, map.width, map.height);
  return data.filter((value, byte) => byte % 4 === 3 && value >= 128).length;
})"""
"""Of each heat map the pixels that are painted as odd: half opaque, and more."""


def pictures(house: House) -> list[Path]:
    return sorted(house.images.glob("*.png"))


def give(page: Page, files: list[Path], scored: int) -> None:
    page.locator("#files").set_input_files(files)
    expect(page.locator(SCORED)).to_have_count(scored)
    expect(page.locator("#progress")).to_be_hidden()


def names(page: Page) -> list[str]:
    return page.locator(".card .name").all_text_contents()


def posts(page: Page) -> list[Request]:
    """Grows by every request for scores."""
    seen: list[Request] = []
    page.on("request", lambda asked: seen.append(asked) if asked.method == "POST" else None)
    return seen


def chip(page: Page, shows: str) -> Locator:
    return page.locator(f"[data-filter={shows}]")


def slide_to(slider: Locator, value: int) -> None:
    slider.press("Home")
    for _ in range(value):
        slider.press("ArrowRight")


def test_scores_are_the_models(page: Page, house: House) -> None:
    """What is written into the CSV file is what the model says of these files."""
    give(page, pictures(house), 6)
    expect(page.locator(".card .heat")).to_have_count(6)
    page.locator("#order").select_option("name")
    wanted = house.first.predict(pictures(house))
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    assert download.value.suggested_filename == "first-scores.csv"
    rows = list(csv.DictReader(download.value.path().open(encoding="utf-8")))
    cues = [f"cue.{cue}" for cue in wanted.cues]
    assert list(rows[0]) == ["path", "score", "p_value", "is_anomaly", *cues]
    assert [row["path"] for row in rows] == [path.name for path in pictures(house)]
    assert [row["is_anomaly"] for row in rows] == [str(f).lower() for f in wanted.is_anomaly]
    for column, values in {
        "score": wanted.scores,
        "p_value": wanted.p_values,
        **dict(zip(cues, wanted.cues.values(), strict=True)),
    }.items():
        found = [float(row[column]) for row in rows]
        assert found == pytest.approx(values.tolist(), rel=1e-4, abs=1e-5)


def test_the_rate_judges_without_a_request(page: Page, house: House) -> None:
    give(page, pictures(house), 6)
    calibration = house.first.calibration
    scores = house.first.predict(pictures(house)).scores
    assert calibration.scores.size == HELD_OUT
    sent = posts(page)
    slider = page.get_by_label("False-alarm rate")
    for place in (0, 2, 5):  # 1, 3, 6 in 13
        slide_to(slider, place)
        threshold = calibration.threshold((place + 1.001) / (HELD_OUT + 1))
        flagged = int(threshold.flags(scores).sum())
        expect(page.locator("#count-flagged")).to_have_text(str(flagged))
        expect(page.locator(".card[data-verdict=flagged]")).to_have_count(flagged)
        expect(page.locator("#rate-words")).to_contain_text(f"at most {place + 1} in 13 normal")
    assert sent == []


def test_heat_maps_follow_the_rate_without_a_request(page: Page, house: House) -> None:
    give(page, pictures(house), 6)
    page.locator("#order").select_option("name")
    expect(page.locator(".card .heat")).to_have_count(6)
    maps = house.first.predict(pictures(house)).maps
    assert maps is not None
    sent, seen = posts(page), []
    for place in (0, 2, 5):  # 1, 3, 6 in 13
        threshold = house.first.calibration.pixel_threshold((place + 1.001) / (HELD_OUT + 1))
        # The service sends values rounded down, so that some pixels less may be above.
        wanted = [int(threshold.flags(rounded_down(each)).sum()) for each in maps]
        for each, count in zip(maps, wanted, strict=True):
            clearly = threshold.flags(each * (1 - 2.0**-10)).sum()
            assert clearly <= count <= threshold.flags(each).sum()
        slide_to(page.get_by_label("False-alarm rate"), place)
        page.wait_for_function(f"wanted => String(({ODD_PIXELS})()) === String(wanted)", arg=wanted)
        expect(page.locator("#heat-words")).to_contain_text(f"at most {place + 1} in 13 normal")
        seen.append(sum(wanted))
    assert seen[0] < seen[1] < seen[2]  # or nothing would have been seen to move
    assert sent == []


def test_heat_maps_out_of_sight_are_right_when_they_come(page: Page, tmp_path: Path) -> None:
    for index, picture in enumerate(odd_pictures(60, seed=8)):
        Image.fromarray(picture).save(tmp_path / f"{index:02}.png")
    give(page, sorted(tmp_path.iterdir()), 60)
    page.locator(".card").last.scroll_into_view_if_needed()
    painted = "card => card.querySelector('.heat')?.dataset.threshold"
    last = page.locator(".card").last
    expect(last.locator(".heat")).to_have_count(1)
    before = last.evaluate(painted)
    page.locator(".card").first.scroll_into_view_if_needed()
    slide_to(page.get_by_label("False-alarm rate"), 5)
    expect(page.locator(".card .heat").first).not_to_have_attribute("data-threshold", before)
    now = page.locator(".card").first.evaluate(painted)
    last.scroll_into_view_if_needed()
    expect(last.locator(".heat")).to_have_attribute("data-threshold", now)


def test_only_what_is_in_sight_holds_a_painted_map(page: Page, tmp_path: Path) -> None:
    """Or hundreds of images would take hundreds of megabytes."""
    for index, picture in enumerate(odd_pictures(60, seed=8)):
        Image.fromarray(picture).save(tmp_path / f"{index:02}.png")
    give(page, sorted(tmp_path.iterdir()), 60)
    cards = page.locator(".card")
    expect(cards.first.locator(".heat")).to_have_count(1)
    for place in range(0, 60, 5):
        cards.nth(place).scroll_into_view_if_needed()
        expect(cards.nth(place).locator(".heat")).to_have_count(1)
    cards.last.scroll_into_view_if_needed()
    expect(cards.first.locator(".heat")).to_have_count(0)
    expect(cards.first.locator(".photo")).to_have_count(1)
    cards.first.scroll_into_view_if_needed()
    expect(cards.first.locator(".heat")).to_have_count(1)


def test_order_filter_and_search(page: Page, house: House) -> None:
    give(page, pictures(house), 6)
    scores = house.first.predict(pictures(house)).scores
    oddest = [f"{at}.png" for at in np.argsort(-scores, kind="stable")]
    assert names(page) == oddest
    page.locator("#order").select_option("usual")
    assert names(page) == oddest[::-1]
    page.locator("#order").select_option("name")
    assert names(page) == [path.name for path in pictures(house)]
    chip(page, "passed").click()
    assert set(names(page)) == set(
        page.locator(".card[data-verdict=passed] .name").all_text_contents()
    )
    chip(page, "all").click()
    page.get_by_label("Find by name").fill("4 PNG")
    assert names(page) == ["4.png"]
    page.get_by_label("Find by name").fill("nothing of this")
    expect(page.get_by_text("No image matches.")).to_be_visible()


def test_by_keyboard_alone(page: Page, house: House) -> None:
    give(page, pictures(house), 6)
    page.locator("#order").focus()
    page.keyboard.press("Tab")
    cards = page.locator(".card .open")
    expect(cards.nth(0)).to_be_focused()
    for key, at in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", 5)):
        page.keyboard.press(key)
        expect(cards.nth(at)).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    top = page.evaluate("document.activeElement.closest('.card').offsetTop")
    assert top > page.evaluate("document.querySelector('.card').offsetTop")
    page.keyboard.press("Enter")
    viewer = page.get_by_role("dialog")
    expect(viewer).to_be_visible()
    place = page.locator("#view-place").inner_text()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#view-place")).not_to_have_text(place)
    shown = page.locator("#view-name").inner_text()
    page.keyboard.press("Escape")
    expect(viewer).to_be_hidden()
    assert page.evaluate("document.activeElement.closest('.card').innerText").startswith(shown)


def test_detail_tells_which_cue_objected(page: Page, house: House) -> None:
    give(page, pictures(house), 6)
    page.locator(".card .open").first.click()
    detector = house.first
    found = detector.predict(pictures(house))
    worst = int(np.argmax(found.scores))
    standings = {
        name: float(values[worst]) for name, values in detector.standings(found.cues).items()
    }
    strongest = max(standings, key=lambda name: standings[name])
    expect(page.locator("#view-cues .strongest th")).to_have_text(strongest)
    told = page.locator("#view-cues .strongest td").last.inner_text().replace("\u2212", "-")
    assert float(told) == pytest.approx(standings[strongest], abs=0.06, rel=0.01)
    expect(page.locator("#view-frame .photo")).to_be_visible()
    heat = page.locator("#view-frame .heat")
    slide_to(page.locator("#view-heat"), 4)
    expect(heat).to_have_css("opacity", "0.2")
    expect(page.locator("#heat")).to_have_value("20")
    photo = page.locator("#view-frame .photo").bounding_box()
    assert heat.bounding_box() == photo  # a map that is not on its place would tell lies


def test_a_folder_is_dropped(page: Page, house: House) -> None:
    """A real drop with the files of the system, folders and all."""
    session = page.context.new_cdp_session(page)
    data: dict[str, Any] = {"items": [], "files": [str(house.images)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 300, "data": data})
    expect(page.locator(SCORED)).to_have_count(6)
    expect(page.locator(".card[data-verdict=failed]")).to_have_count(1)
    assert sorted(page.locator(".card .name").all_text_contents())[-1] == "images/below/broken.png"
    expect(page.locator("#notice")).to_contain_text("1 file in the folder is no image")


def test_a_folder_is_chosen(page: Page, house: House) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a folder").click()
    chooser.value.set_files(house.images)
    expect(page.locator(SCORED)).to_have_count(6)


def test_an_image_is_pasted(page: Page, house: House) -> None:
    content = pictures(house)[0].read_bytes()
    page.evaluate(
        """(bytes) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], "image.png", { type: "image/png" }));
          const paste = new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true });
          document.body.dispatchEvent(paste);
        }""",
        list(content),
    )
    expect(page.locator(SCORED)).to_have_count(1)
    assert names(page) == ["pasted 1.png"]


def test_another_model_is_asked_once(page: Page, house: House) -> None:
    give(page, pictures(house), 6)
    sent = posts(page)
    page.get_by_label("Model").select_option("second")
    expect(page.locator("#progress")).to_be_hidden()
    expect(page.locator(SCORED)).to_have_count(6)
    expect(page.locator(".card .heat")).to_have_count(0)
    expect(page.locator("#heat-control")).to_be_hidden()
    assert len(sent) == 1
    page.get_by_label("Model").select_option("first")
    expect(page.locator(".card .heat")).to_have_count(6)
    assert len(sent) == 1


def test_names_are_text_and_formulas_are_not(page: Page, tmp_path: Path) -> None:
    nasty = ['<img src=x onerror="document.title=1">.png', "=HYPERLINK(1).png"]
    for name, picture in zip(nasty, odd_pictures(2, seed=3), strict=True):
        Image.fromarray(picture).save(tmp_path / name)
    give(page, sorted(tmp_path.iterdir()), 2)
    assert sorted(names(page)) == sorted(nasty)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    rows = list(csv.DictReader(download.value.path().open(encoding="utf-8")))
    assert {row["path"] for row in rows} == {nasty[0], "./" + nasty[1]}
    assert page.title() == "oddlens"


def test_what_a_camera_turned_is_upright(page: Page, tmp_path: Path) -> None:
    """Large files are shown by a small copy; it must stand as the service sees the image."""
    noise = np.random.default_rng(0).integers(0, 255, (500, 900, 3), np.uint8)
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    Image.fromarray(noise).save(tmp_path / "turned.jpg", exif=turned, quality=95)
    assert (tmp_path / "turned.jpg").stat().st_size > 300_000
    give(page, [tmp_path / "turned.jpg"], 1)
    photo = page.locator(".card .photo")
    expect(photo).to_have_js_property("naturalWidth", 480)
    expect(photo).to_have_js_property("naturalHeight", 864)
    box = photo.bounding_box()
    assert box is not None
    assert box["width"] / box["height"] == pytest.approx(500 / 900, rel=0.02)
    assert page.locator(".card .heat").bounding_box() == box


def test_many_go_in_small_requests(page: Page, tmp_path: Path) -> None:
    for index, picture in enumerate(odd_pictures(150, seed=8)):
        Image.fromarray(picture).save(tmp_path / f"{index}.png")
    sent = posts(page)
    give(page, sorted(tmp_path.iterdir()), 150)
    answers = [each.response() for each in sent]
    sizes = [len(each.json()["results"]) for each in answers if each is not None]
    assert sum(sizes) == 150
    assert max(sizes) == 8
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_role("heading", name="Drop images here")).to_be_visible()
    expect(page.locator(".card")).to_have_count(0)


@pytest.mark.parametrize("width", [320, 390, 860])
def test_narrow_screens_do_not_scroll_sideways(page: Page, house: House, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    give(page, [*pictures(house), house.images / "below" / "broken.png"], 6)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator(".card .open").first.click()
    assert page.evaluate("document.querySelector('#viewer').scrollWidth") <= width


def test_nothing_comes_from_elsewhere(browser: Browser, address: str, house: House) -> None:
    asked: list[str] = []
    with opened(browser, "about:blank") as page:
        page.on("request", lambda request: asked.append(request.url))
        answer = page.goto(address)
        assert answer is not None
        policy = answer.headers["content-security-policy"]
        give(page, pictures(house), 6)
    assert "unsafe" not in policy
    assert all(url.startswith((address, "blob:", "data:")) for url in asked)

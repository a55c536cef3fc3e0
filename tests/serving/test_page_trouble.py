"""What the page does where files, the token, the network or the service fail."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect

from tests.export.models import odd_pictures
from tests.serving.page_service import browser, chromium, opened
from tests.serving.process import service
from tests.serving.toy import write_toy

__all__ = ["browser", "chromium"]

pytestmark = pytest.mark.slow  # a browser takes seconds

TOKEN = "a-token-of-the-tests"
SCORED = ".card[data-verdict=flagged], .card[data-verdict=passed]"
SCORE = "**/v1/score?*"


@pytest.fixture(scope="module")
def address(toy: Path) -> Iterator[str]:
    with service(toy, "--token", TOKEN, "--max-image-bytes", "20000") as running:
        yield running.url


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with opened(browser, address) as fresh:
        give_token(fresh, TOKEN)
        expect(fresh.locator("#model-about")).to_contain_text("toy")
        yield fresh


def give_token(page: Page, token: str) -> None:
    expect(page.get_by_role("dialog")).to_be_visible()
    page.get_by_label("Token", exact=True).fill(token)
    page.get_by_role("button", name="Go on").click()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    files = [folder / f"{index}.png" for index in range(6)]
    for file, picture in zip(files, odd_pictures(6, seed=3), strict=True):
        Image.fromarray(picture).save(file)
    return files


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    file = tmp_path / "broken.png"
    file.write_bytes(b"no picture")
    return file


def test_the_token_is_asked_for_and_kept_in_the_tab(
    browser: Browser, address: str, pictures: list[Path]
) -> None:
    with opened(browser, address) as page:
        give_token(page, "not the one")
        expect(page.locator("#ask-why")).to_contain_text("refused")
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("alert")).to_contain_text("without a token")
        page.get_by_role("button", name="Give a token").click()
        give_token(page, TOKEN)
        page.locator("#files").set_input_files(pictures)
        expect(page.locator(SCORED)).to_have_count(6)
        assert page.evaluate("Object.values(sessionStorage)") == [TOKEN]
        assert page.evaluate("localStorage.length + document.cookie.length") == 0
        page.reload()
        expect(page.locator("#model-about")).to_contain_text("toy")
        page.get_by_role("button", name="Forget token").click()
        page.locator("#files").set_input_files(pictures[:1])
        give_token(page, TOKEN)
        expect(page.locator(SCORED)).to_have_count(1)


def test_bad_files_are_told_one_by_one(
    page: Page, pictures: list[Path], broken: Path, tmp_path: Path
) -> None:
    (tmp_path / "large.png").write_bytes(bytes(20_001))
    (tmp_path / "empty.png").write_bytes(b"")
    bad = [tmp_path / "large.png", tmp_path / "empty.png", broken]
    page.locator("#files").set_input_files([*pictures, *bad])
    expect(page.locator(SCORED)).to_have_count(6)
    failed = page.locator(".card[data-verdict=failed]")
    expect(failed).to_have_count(3)
    told = dict(
        zip(
            failed.locator(".name").all_text_contents(),
            failed.locator(".numbers").all_text_contents(),
            strict=True,
        )
    )
    assert "this service takes" in told["large.png"]
    assert told["empty.png"] == "The file is empty (0 bytes)."
    assert told["broken.png"] == 'The file holds text ("no picture"), not an image.'
    page.locator("[data-filter=failed]").click()
    expect(page.locator(".card")).to_have_count(3)
    expect(page.locator("#live")).to_contain_text("3 failed")


def test_a_single_bad_file(page: Page, broken: Path) -> None:
    """The service refuses such a request as a whole."""
    page.locator("#files").set_input_files(broken)
    expect(page.locator(".card .numbers")).to_have_text(
        'The file holds text ("no picture"), not an image.'
    )


def test_a_busy_service_is_asked_again_after_its_time(page: Page, pictures: list[Path]) -> None:
    waits = iter(["1", "1"])

    def busy_twice(route: Route) -> None:
        wait = next(waits, None)
        if wait is None:
            route.continue_()
        else:
            error = {"error": {"code": "busy", "message": "try again"}}
            route.fulfill(status=429, headers={"Retry-After": wait}, json=error)

    page.route(SCORE, busy_twice)
    page.locator("#files").set_input_files(pictures)
    expect(page.locator("#progress-text")).to_contain_text("busy, going on in")
    expect(page.locator(SCORED)).to_have_count(6)
    assert next(waits, None) is None


def test_a_service_that_is_gone(page: Page, pictures: list[Path]) -> None:
    page.route(SCORE, lambda route: route.abort())
    page.locator("#files").set_input_files(pictures)
    expect(page.get_by_role("alert")).to_contain_text("does not answer")
    expect(page.locator(".card[data-verdict=waiting]")).to_have_count(6)
    page.unroute(SCORE)
    page.locator("#progress").get_by_role("button", name="Try again").click()
    expect(page.locator(SCORED)).to_have_count(6)
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_request_that_is_refused_is_sent_in_parts(page: Page, pictures: list[Path]) -> None:
    """A proxy on the way may allow less than the service."""

    def three_at_most(route: Route) -> None:
        body = route.request.post_data_buffer or b""
        if body.count(b'name="images"') > 3:
            route.fulfill(status=413, body="too large")
        else:
            route.continue_()

    page.route(SCORE, three_at_most)
    page.locator("#files").set_input_files(pictures)
    expect(page.locator(SCORED)).to_have_count(6)


def test_a_model_that_is_replaced(browser: Browser, pictures: list[Path], tmp_path: Path) -> None:
    """Scores of two models must not stand side by side."""
    model = write_toy(tmp_path / "toy.onnx")
    with service(model) as running, opened(browser, running.url) as page:
        page.locator("#files").set_input_files(pictures[:3])
        expect(page.locator(SCORED)).to_have_count(3)
        before = page.locator(".card .numbers").all_text_contents()
        write_toy(model, added=10.0)
        running.process.send_signal(signal.SIGHUP)
        running.wait_for("reloaded")
        page.locator("#files").set_input_files(pictures[3:])
        expect(page.get_by_role("alert")).to_contain_text("a new model")
        expect(page.locator(".card[data-verdict=flagged]")).to_have_count(6)
        assert not {*before} & {*page.locator(".card .numbers").all_text_contents()}


def test_stop_and_go_on(page: Page, pictures: list[Path]) -> None:

    def hold(_route: Route) -> None:
        """The service takes its time."""

    page.route(SCORE, hold)
    page.locator("#files").set_input_files(pictures)
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#progress-text")).to_contain_text("stopped")
    page.unroute(SCORE)
    page.get_by_role("button", name="Go on", exact=True).click()
    expect(page.locator(SCORED)).to_have_count(6)

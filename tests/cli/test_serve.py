"""``oddlens serve``: what reaches the service, and what is refused before it starts."""

from __future__ import annotations

import inspect
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from oddlens.cli import serve as verb
from oddlens.errors import UsageError
from oddlens.serving import run as running
from oddlens.serving.faults import STATUS
from oddlens.serving.settings import Settings
from tests.cli.conftest import Run, run

__all__ = ["run"]

TOKEN = "a-token-of-some-length"


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []
    monkeypatch.setattr(running, "serve", lambda *arguments: calls.append(arguments))
    for name in ("TOKEN", "PORT", "HOST"):
        monkeypatch.delenv(f"ODDLENS_SERVE_{name}", raising=False)
    return calls


def test_defaults_are_those_of_the_settings(run: Run, called: list[Any]) -> None:
    assert run("serve", "a.onnx", "b.oddlens").code == 0
    assert called == [([Path("a.onnx"), Path("b.oddlens")], "127.0.0.1", 8000, Settings())]


def test_every_setting_is_an_option() -> None:
    options = set(inspect.signature(verb.serve).parameters)
    assert set(Settings.model_fields) <= options


def test_options_reach_the_service(run: Run, called: list[Any]) -> None:
    outcome = run("serve", "a.onnx", "--port", 0, "--max-files", 3, "--answer-seconds", 1.5)
    assert outcome.code == 0, outcome.err
    assert called[0][2:] == (0, Settings(max_files=3, answer_seconds=1.5))


def test_the_environment_does_too(
    run: Run, called: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ODDLENS_SERVE_TOKEN", TOKEN)
    monkeypatch.setenv("ODDLENS_SERVE_BATCH_SIZE", "4")
    monkeypatch.setenv("ODDLENS_SERVE_HOST", "0.0.0.0")
    assert run("serve", "a.onnx").code == 0
    assert called[0][1:] == ("0.0.0.0", 8000, Settings(token=TOKEN, batch_size=4))


def test_the_token_may_stand_in_a_file(run: Run, called: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert run("serve", "a.onnx", "--token-file", file).code == 0
    assert called[0][3].token == TOKEN
    assert run("serve", "a.onnx", "--token-file", tmp_path / "none").code == 2
    assert run("serve", "a.onnx", "--token-file", file, "--token", TOKEN).code == 2


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--token", "short"), "--token"),
        (("--max-files", 0), "--max-files"),
        (("--max-files", 300), "max_files (300) is more than queue_images"),
        (("--answer-seconds", -1), "--answer-seconds"),
        (("--port", 70000), "--port"),
    ],
)
def test_a_wrong_option_is_named(
    run: Run, called: list[Any], options: tuple[object, ...], told: str
) -> None:
    outcome = run("serve", "a.onnx", *options)
    assert outcome.code == 2
    assert told in outcome.err
    assert "short" not in outcome.err
    assert called == []


def test_an_open_house_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ODDLENS_SERVE_TOKEN", raising=False)
    outcome = run("serve", "a.onnx", "--host", "0.0.0.0")
    assert outcome.code == 2
    assert "set a token" in outcome.err


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP here")
def test_a_reload_that_is_asked_for_too_early_does_not_end_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loading(*_: object) -> None:
        signal.raise_signal(signal.SIGHUP)
        raise UsageError("got here")

    monkeypatch.setattr(running, "create_app", loading)
    monkeypatch.setattr(running, "log_to", lambda: None)
    before = signal.getsignal(signal.SIGHUP)
    try:
        assert "got here" in run("serve", "a.onnx").err
    finally:
        signal.signal(signal.SIGHUP, before)


def test_missing_libraries_are_told(
    run: Run, called: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verb, "_NEEDED", ("a_library_that_nobody_has",))
    outcome = run("serve", "a.onnx")
    assert outcome.code == 2
    assert "pip install 'oddlens[serve]'" in outcome.err


def test_the_deployment_sets_what_there_is_to_set() -> None:
    files = sorted((Path(__file__).parents[2] / "deploy").iterdir())
    assert [file.name for file in files] == ["Containerfile", "oddlens-serve.service"]
    options = {name.upper() for name in inspect.signature(verb.serve).parameters}
    for file in files:
        named = set(re.findall(r"ODDLENS_SERVE_(\w+)", file.read_text(encoding="utf-8")))
        assert named
        assert named <= options


def test_the_page_tells_options_and_codes_as_they_are() -> None:
    text = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `--([\w-]+)` \| ([\d.]+) \|", text, re.MULTILINE))
    settings = Settings().model_dump(exclude={"token"})
    assert {name.replace("-", "_"): float(value) for name, value in told.items()} == settings
    codes = {
        code: int(status)
        for status, cell in re.findall(r"^\| (\d{3}) \| ([^|]+) \|", text, re.MULTILINE)
        for code in re.findall(r"`(\w+)`", cell)
    }
    left_out = {"method_not_allowed", "unreadable"}
    assert codes == {code: status for code, status in STATUS.items() if code not in left_out}

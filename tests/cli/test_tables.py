"""``oddlens tables``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oddlens.evaluation.records import RecordFile, file_name
from tests.cli.conftest import Run
from tests.evaluation.made_records import made


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    for protocol, data in (("one-vs-all", "digits"), ("style", "folder:my fonts")):
        file = RecordFile(folder / file_name(protocol, data))
        for seed in (0, 1):
            file.append(
                made("0", seed, 0.8 + seed / 10, protocol=protocol, data=data, method="multitask")
            )
    return folder


def test_all_tables_are_printed_with_their_titles(run: Run, results: Path) -> None:
    outcome = run("tables", results)
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("## one-vs-all, digits\n\n| class | MultiTask, 1 pass |")
    assert "| 0 | 85.0 ± 7.1 |" in outcome.out
    assert "## style, folder:my fonts" in outcome.out
    assert "records in `mine/style_folder_my_fonts.jsonl`" in outcome.out
    assert not outcome.err


def test_those_of_one_protocol_or_data_set(run: Run, results: Path) -> None:
    assert "## style" not in run("tables", results, "--protocol", "one-vs-all").out
    assert "## one-vs-all" not in run("tables", results, "--data", "folder:my fonts").out
    told = json.loads(run("tables", results, "--table", "seed_noise", "--json").out)
    assert list(told["tables"]) == ["seed_noise"]
    assert "| one-vs-all | Digits" in told["tables"]["seed_noise"].replace("digits", "Digits")


def test_a_document_is_made_and_then_made_anew(run: Run, results: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.md"
    assert run("tables", results, "--out", out).code == 0
    text = out.read_text()
    assert text.startswith("# Results\n\n## one-vs-all, digits\n\n<!-- table:one_vs_all_digits -->")
    out.write_text(text.replace("# Results", "# Mine"))
    assert "as it was" in run("tables", results, "--out", out).out
    (results / "style_folder_my_fonts.jsonl").unlink()
    assert "made anew" in run("tables", results, "--out", out).out
    assert out.read_text().startswith("# Mine")
    assert (
        "Not run yet: there is no record in `mine/style_folder_my_fonts.jsonl`." in out.read_text()
    )
    outcome = run("tables", results, "--out", out, "--protocol", "style")
    assert outcome.code == 2
    assert "is there: leave --table" in outcome.err


def test_the_figure(run: Run, results: Path, tmp_path: Path) -> None:
    assert run("tables", results, "--figure", tmp_path / "few.svg").code == 0
    assert (tmp_path / "few.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("{nowhere}",), 1, "there is no such folder"),
        (("{results}", "--protocol", "styl"), 2, "no protocol 'styl'"),
        (("{results}", "--protocol", "localization"), 1, "there are no such records"),
        (("{results}", "--table", "styl"), 2, "there is no table 'styl'"),
        (("{results}", "--table", "style", "--data", "folder"), 2, "leave --protocol"),
        (("{results}", "--out", "{plain}"), 1, "holds no marker"),
    ],
)
def test_mistakes(
    run: Run, results: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    (tmp_path / "plain.md").write_text("# Nothing\n")
    places = {
        "results": results,
        "nowhere": tmp_path / "nowhere",
        "plain": tmp_path / "plain.md",
    }
    outcome = run("tables", *(each.format(**places) for each in arguments))
    assert (outcome.code, outcome.err.count("\n")) == (code, 1)
    assert message in outcome.err

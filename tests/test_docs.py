"""What the documents say is so: links, files, command lines, code, options, messages, numbers."""

from __future__ import annotations

import ast
import inspect
import json
import re
import shlex
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

import oddlens
from oddlens.cli.app import app
from oddlens.cli.build import build_detector
from oddlens.cli.options import parse_settings
from oddlens.detectors import get_method

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "oddlens"
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
OTHERS = [ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"]
COMMAND: Any = typer.main.get_command(app)

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)|src=\"([^\"]+)\"")
NAMED_FILE = re.compile(r"^[\w./-]+\.(?:py|md|toml|txt|yml|jsonl)$")
MACHINE = re.compile(r"(?<![\w.<])/(?:work|tmp|root|home|opt|usr|mnt|srv|workspace)\b|localhost")
HOSTS = {"127.0.0.1", "arxiv.org", "doi.org", "github.com", "keepachangelog.com", "semver.org"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(text: str) -> str:
    """A document without its fenced blocks."""
    return FENCE.sub("", text)


def fenced(text: str, *languages: str) -> Iterator[str]:
    for language, content in FENCE.findall(text):
        if language in languages:
            yield content


def every(*, others: bool = False) -> Any:
    paths = DOCUMENTS + OTHERS if others else DOCUMENTS
    return pytest.mark.parametrize("path", paths, ids=name_of)


# --- links, files, hosts ----------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    """The anchors that GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every(others=True)
def test_every_link_leads_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for link in (next(filter(None, groups)) for groups in LINK.findall(prose(text))):
        if link.startswith("https://"):
            assert link.split("/")[2] in HOSTS, link
            continue
        target, _, anchor = link.partition("#")
        found = (path.parent / target).resolve() if target else path
        assert found.exists(), link
        assert not anchor or anchor in anchors(found.read_text(encoding="utf-8")), link


@every(others=True)
def test_every_named_file_exists(path: Path) -> None:
    for name in CODE.findall(prose(path.read_text(encoding="utf-8"))):
        if NAMED_FILE.match(name) and not name.startswith("results/"):
            places = (ROOT, PACKAGE, path.parent)
            assert any((place / name).exists() for place in places), name


@every()
def test_records_that_are_named_are_those_of_the_tables(path: Path) -> None:

    from benchmarks import headline_table, tables
    from benchmarks.pretrained_tables import PRETRAINED
    from oddlens.evaluation.protocols import PROTOCOLS
    from oddlens.evaluation.records import file_name
    from oddlens.images.catalogue import CATALOGUE

    own = {headline_table.LOCALIZATION, tables.ABLATION, tables.SPEED, PRETRAINED}
    names = (file_name(protocol, data) for protocol in PROTOCOLS for data in CATALOGUE)
    known = own | {name.removesuffix(".jsonl") for name in names}
    text = path.read_text(encoding="utf-8")
    named = set(re.findall(r"results/(\w+)\.jsonl", text))
    assert all((ROOT / "results" / f"{name}.jsonl").is_file() for name in named - known)


@every(others=True)
def test_no_machine_and_no_unexpected_host_is_named(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not MACHINE.search(text)
    assert set(re.findall(r"https?://([\w.-]+)", text)) <= HOSTS


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.md")), ids=name_of)
def test_a_page_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


# --- command lines ----------------------------------------------------------------------------


def command_lines(text: str) -> list[str]:
    """The lines of fenced shell blocks that call oddlens, continuations joined."""
    lines = []
    for block in fenced(text, "sh", "console", "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            called = line.removeprefix("$ ").strip()
            if called.startswith("oddlens "):
                lines.append(called)
    return lines


def words(line: str) -> list[str]:
    """The arguments of one call: what stands before a comment, a pipe or a redirection."""
    given = shlex.split(line, comments=True)[1:]
    stops = [at for at, word in enumerate(given) if word in ("|", ">", ">>", "&&", ";")]
    return given[: stops[0]] if stops else given


def parse(line: str) -> tuple[str, dict[str, Any]]:
    """Parse a command line as the program does, without running it; the verb and its values."""
    given = words(line)
    context = COMMAND.make_context("oddlens", list(given))
    verb, command, rest = COMMAND.resolve_command(context, given)
    return verb, command.make_context(verb, rest, parent=context).params


@every()
def test_every_command_line_is_one_that_the_program_takes(path: Path) -> None:
    for line in command_lines(path.read_text(encoding="utf-8")):
        verb, values = parse(line)
        if verb == "fit" and "," in values["method"]:
            chosen = {name: values[name] for name in ("preset", "size")}
            build_detector(values["method"], settings=values["settings"] or [], **chosen)
        elif verb == "fit":
            method = get_method(values["method"])
            given = parse_settings(values["settings"], method.options(), values["method"])
            size = {} if values["size"] is None else {"image_size": values["size"]}
            method.Options.make({"preset": values["preset"], **given, **size})


def test_the_documents_show_every_verb() -> None:
    lines = [line for path in DOCUMENTS for line in command_lines(path.read_text(encoding="utf-8"))]
    assert {parse(line)[0] for line in lines} == set(COMMAND.commands)


def test_a_wrong_command_line_would_be_found() -> None:
    for line in ("oddlens fit a --out b --max-minute 3", "oddlens score", "oddlens train a"):
        with pytest.raises(typer.TyperException):
            parse(line)


@every(others=True)
def test_every_benchmark_is_there_and_knows_its_options(path: Path) -> None:
    for line in re.findall(r"python (benchmarks/.*)", prose_and_shell(path)):
        script, *rest = line.split()
        source = (ROOT / script.strip("`")).read_text(encoding="utf-8")
        for word in rest:
            assert not word.startswith("--") or f'"{word}"' in source, line


def prose_and_shell(path: Path) -> str:
    """A document without the tables, whose commands are those of their day."""
    text = path.read_text(encoding="utf-8")
    return re.sub(r"<!-- table:.*?<!-- end -->", "", text, flags=re.DOTALL)


@cache
def known_options() -> set[str]:
    found = {"--help"}
    for command in (COMMAND, *COMMAND.commands.values()):
        for parameter in command.params:
            found.update(parameter.opts)
    return found


@every(others=True)
def test_every_option_named_in_the_text_exists(path: Path) -> None:
    for span in CODE.findall(prose(path.read_text(encoding="utf-8"))):
        if span.startswith(("python ", "pip ", "make ", "git ", "mypy ")):
            continue
        for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", span):
            assert option in known_options(), span
        given = shlex.split(span) if "--set " in span else []
        settings = [
            setting
            for flag, setting in pairwise(given)
            if flag == "--set" and not setting.endswith("OPTION=VALUE")
        ]
        name = given[given.index("--method") + 1] if "--method" in given else "ssm"
        if any("." in setting.split("=")[0] for setting in settings) or "," in name:
            several = name if "," in name else "ssm,multitask"
            build_detector(several, preset="compact", size=None, settings=settings)
        elif settings:
            method = get_method(name)
            method.Options.make(parse_settings(settings, method.options(), name))
        if span.startswith("oddlens "):
            assert span.split()[1] in {*COMMAND.commands, "--help"}, span


# --- code -------------------------------------------------------------------------------------

METHODS: dict[str, Any] = {
    "SSM": oddlens.SSM.Options,
    "fit": oddlens.Detector.fit,
    "predict": oddlens.Detector.predict,
    "score": oddlens.Detector.score,
    "save": oddlens.Detector.save,
    "load": oddlens.load,
    "evaluate": oddlens.evaluate,
    "report": oddlens.Predictions.report,
    "save_maps": oddlens.Predictions.save_maps,
    "to_csv": oddlens.Predictions.to_csv,
}


@every()
def test_the_python_code_compiles_and_calls_what_exists(path: Path) -> None:
    for code in fenced(path.read_text(encoding="utf-8"), "python"):
        tree = ast.parse(code)
        compile(tree, str(path), "exec")
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "oddlens":
                assert hasattr(oddlens, node.attr), ast.unparse(node)
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "predictions":
                fields = {*vars(oddlens.Predictions), *inspect.get_annotations(oddlens.Predictions)}
                assert node.attr in fields, ast.unparse(node)
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in METHODS:
                method = METHODS[ast.unparse(node.func).split(".")[-1]]
                allowed = inspect.signature(method).parameters
                assert {keyword.arg for keyword in node.keywords} <= set(allowed)


# --- facts ------------------------------------------------------------------------------------


def rows_after(name: str, heading: str) -> list[list[str]]:
    """The rows of the first table below a heading."""
    text = (ROOT / name).read_text(encoding="utf-8").split(f"\n{heading}\n", 1)[1]
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert table is not None
    lines = table[0].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


@pytest.mark.parametrize(
    ("page", "heading", "method"),
    [
        ("ssm", "## Options", oddlens.SSM),
        ("multitask", "## Options", oddlens.MultiTask),
        ("multitask", "### Options of GeometricTransforms", oddlens.GeometricTransforms),
        ("multicue", "## Options", oddlens.MultiCue),
        ("anomem", "## Options", oddlens.AnoMem),
    ],
)
def test_the_table_of_options_is_that_of_the_detector(
    page: str, heading: str, method: type[oddlens.Detector]
) -> None:
    told = {}
    for name, default, _ in rows_after(f"docs/methods/{page}.md", heading):
        value = default.strip("`")
        try:
            told[name.strip("`")] = value if name == "`precision`" else json.loads(value)
        except json.JSONDecodeError:
            told[name.strip("`")] = value
    actual = {
        name: list(info.default) if isinstance(info.default, tuple) else info.default
        for name, info in method.options().items()
    }
    assert told == actual


def test_the_register_of_choices_is_complete() -> None:
    rows = rows_after("docs/methods/ssm.md", "## What is unknown, and what we chose")
    assert [row[0] for row in rows] == [f"SSM-U{number}" for number in range(1, 15)]


def test_the_sizes_of_the_networks() -> None:
    text = (ROOT / "docs/methods/ssm.md").read_text(encoding="utf-8")
    for preset in ("compact", "paper"):
        network = oddlens.SSM(preset=preset).network
        count = sum(parameter.numel() for parameter in network.parameters())
        assert f"{count / 1e6:.2f} M" in text
    masks = sum(parameter.numel() for parameter in network.mask.parameters())
    assert f"{masks / 1e6:.2f} M of them in mask-attention blocks" in text


def test_how_many_pictures_a_rate_needs() -> None:
    from oddlens.images import holdout_split
    from oddlens.scoring import Calibration

    def enough(calibration: int, rate: float) -> bool:
        scores = np.arange(calibration, dtype=np.float64)
        return Calibration(scores).threshold(rate).message is None

    def guaranteed(pictures: int, share: float, rate: float) -> bool:
        return enough(len(holdout_split(pictures, share, seed=0)[2]), rate)

    rows = rows_after("docs/user-guide.md", "### How many pictures for which rate")
    for rate, calibration, *pictures in ([float(cell) for cell in row] for row in rows):
        assert enough(int(calibration), rate)
        assert not enough(int(calibration) - 1, rate)
        for share, count in zip((0.2, 0.4), pictures, strict=True):
            assert guaranteed(int(count), share, rate)
            assert not guaranteed(int(count) - 1, share, rate)


@cache
def literal_text() -> str:
    """All strings of the library, values left out, parts that stand side by side joined."""
    found = []
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (
                    part.value if isinstance(part, ast.Constant) else "…" for part in node.values
                )
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def test_the_messages_that_are_explained_are_given() -> None:
    for message, _ in rows_after("docs/user-guide.md", "## 8. When something goes wrong"):
        for part in message.strip("`").split(" … "):
            assert part in literal_text(), message


def test_every_room_has_its_place_in_the_architecture() -> None:
    told = {row[0].strip("`") for row in rows_after("docs/architecture.md", "## Rooms")}
    rooms = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in PACKAGE.iterdir()
        if path.name not in ("__init__.py", "__pycache__", "py.typed")
    }
    assert told == rooms


def test_every_layer_of_the_service_has_its_place_in_the_request_path() -> None:
    told = "".join(
        row[0] for row in rows_after("docs/architecture.md", "### A detector as a service")
    )
    tree = ast.parse((PACKAGE / "serving" / "app.py").read_text(encoding="utf-8"))
    layers = [
        each.args[0].id
        for each in ast.walk(tree)
        if isinstance(each, ast.Call) and "add_middleware" in ast.unparse(each.func)
        if isinstance(each.args[0], ast.Name)
    ]
    files = {
        name.name: f"{node.module.removeprefix('oddlens.').replace('.', '/')}.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for name in node.names
    }
    assert len(layers) >= 3
    # What is added last is met first.
    places = [told.index(files[layer]) for layer in reversed(layers)]
    assert places == sorted(places)

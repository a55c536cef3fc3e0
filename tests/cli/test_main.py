"""The program as a whole: light, and clear about wrong calls."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import pytest

import oddlens
from tests.cli.conftest import Run

HEAVY = (
    "torch",
    "numpy",
    "scipy",
    "sklearn",
    "skimage",
    "matplotlib",
    "lightning",
    "PIL",
)
VERBS = ("fit", "score", "evaluate", "benchmark", "check", "info", "demo")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([v, "--help"] for v in VERBS)])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from oddlens.cli import main; code = main(sys.argv[1:]);"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"
    assert "oddlens" in done.stdout


def test_help_takes_less_than_half_a_second_of_computing() -> None:
    def cpu_seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        code = "from oddlens.cli import main; main(['--help'])"
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    assert min(cpu_seconds() for _ in range(3)) < 0.5


def test_version(run: Run) -> None:
    outcome = run("--version")
    assert (outcome.code, outcome.out) == (0, f"oddlens {oddlens.__version__}\n")


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb(run: Run, verb: str) -> None:
    outcome = run(verb, "--help")
    assert outcome.code == 0
    assert "--json" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["chek"], "Did you mean 'check'?"),
        (["fit"], "Missing argument 'NORMAL...'. See oddlens fit --help."),
        (["fit", "good"], "Missing option '--out'"),
        (["fit", "good", "--out", "m", "--preset", "huge"], "'huge' is not one of"),
        (["fit", "good", "--out", "m", "--sead", "1"], "--seed"),
        (["score", "m", "good", "--on-bad", "ignore"], "'skip', 'raise'"),
    ],
)
def test_a_wrong_call_is_one_sentence_and_exits_with_2(
    run: Run, arguments: list[str], message: str
) -> None:
    outcome = run(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert message in outcome.err


def test_a_wrong_call_is_json_with_json(run: Run) -> None:
    outcome = run("fit", "--json")
    error = json.loads(outcome.err)["error"]
    assert (outcome.code, error["exit_code"]) == (2, 2)
    assert "NORMAL" in error["message"]


def test_the_installed_command_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from oddlens.cli import main; raise SystemExit(main())", "chek"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2

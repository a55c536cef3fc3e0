"""The program: its verbs and the options before them."""

from __future__ import annotations

from typing import Annotated

import typer

from oddlens import __version__
from oddlens.cli import (
    benchmark,
    check,
    compare,
    demo,
    ensemble,
    evaluate,
    export,
    fit,
    fonts,
    info,
    score,
    serve,
    tables,
)

app = typer.Typer(
    name="oddlens",
    help="Learn what normal images look like, then see how odd a new one is, where, and why.",
    epilog="Exit codes: 0 done, 1 the work failed, 2 the call is wrong, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"oddlens {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Options of the program itself; the work is in the verbs."""


app.command("fit")(fit.fit)
app.command("ensemble")(ensemble.ensemble)
app.command("score")(score.score)
app.command("export")(export.export)
app.command("serve")(serve.serve)
app.command("evaluate")(evaluate.evaluate)
app.command("benchmark")(benchmark.benchmark)
app.command("compare")(compare.compare)
app.command("tables")(tables.tables)
app.command("check")(check.check)
app.command("info")(info.info)
app.command("demo")(demo.demo)
app.command("fonts")(fonts.fonts)

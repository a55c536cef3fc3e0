"""``oddlens tables``: the tables of recorded trials, printed or written into documents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oddlens.cli.options import JsonFlag, QuietFlag
from oddlens.cli.runner import verb
from oddlens.cli.screen import Screen
from oddlens.errors import DataError, UsageError


@verb
def tables(
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="The folder of `oddlens benchmark --out`.")
    ],
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--table",
            metavar="NAME",
            help="A table by its name, such as one_vs_all_cifar10, style or seed_noise; "
            "repeatable. Default: all that there are records for.",
        ),
    ] = None,
    protocol: Annotated[
        str | None, typer.Option("--protocol", help="Only the tables of one protocol.")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="Only the tables of one data set.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="A Markdown document. Where it is there, what stands between its markers "
            "<!-- table:NAME --> and <!-- end --> is made anew; else it is made.",
        ),
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option("--figure", help="Draw the curves of few-anomalies to this .svg as well."),
    ] = None,
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Make tables of recorded trials: mean and spread, intervals, budgets, published numbers."""
    from oddlens.files import write_bytes
    from oddlens.tables import document_of, known_tables, render

    screen = Screen(as_json=as_json, quiet=quiet)
    if not results.is_dir():
        raise DataError(f"{results}: there is no such folder of records")
    if names and (protocol or data):
        raise UsageError("--table names tables itself: leave --protocol and --data out")
    if figure is not None:
        from oddlens.tables.picture import as_svg

        write_bytes(figure, as_svg(results))
        screen.note(f"figure: {figure}")
    if out is not None and out.is_file():
        if names or protocol or data:
            raise UsageError(
                f"{out} is there: leave --table, --protocol and --data out to make anew the tables "
                "that it holds, or name another"
            )
        changed = _make_anew(out, results)
        told = "made anew" if changed else "as it was"
        screen.result({"document": out, "changed": changed}, [[str(out), told]])
        return
    titles = {name: name for name in names} if names else known_tables(results, protocol, data)
    if not titles:
        raise DataError(
            f"{results}: there are no such records; `oddlens benchmark ... --out {results}` makes "
            "some"
        )
    made = {name: (title, render(name, results)) for name, title in titles.items()}
    if out is None and as_json:
        screen.result({"tables": {name: table for name, (_, table) in made.items()}}, [])
    elif out is None:
        typer.echo("\n\n".join(f"## {title}\n\n{table}" for title, table in made.values()))
    else:
        write_bytes(out, document_of(made).encode())
        screen.result({"document": out, "tables": list(made)}, [["document", str(out)]])


def _make_anew(document: Path, results: Path) -> bool:
    """Make the tables of a document anew; whether anything changed."""
    from oddlens.files import write_bytes
    from oddlens.tables import render, rewritten
    from oddlens.tables.documents import BLOCK

    before = document.read_text(encoding="utf-8")
    if BLOCK.search(before) is None:
        raise DataError(f"{document}: holds no marker <!-- table:NAME --> to write a table behind")
    after = rewritten(before, lambda name: render(name, results))
    if after != before:
        write_bytes(document, after.encode())
    return after != before

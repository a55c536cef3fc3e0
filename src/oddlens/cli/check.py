"""``oddlens check``: what is wrong with this data set, file by file?"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from oddlens.cli.options import JsonFlag, QuietFlag
from oddlens.cli.runner import verb
from oddlens.cli.screen import Screen, print_table, summary


@verb
def check(
    root: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder, plain or in MVTec layout.")
    ],
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Say what is wrong with a data set, file by file; exits with 1 where something is."""
    from oddlens.images import check_folder

    screen = Screen(as_json=as_json, quiet=quiet)
    with screen.progress() as progress:
        report = check_folder(root, progress=progress)
    told = report.summary
    facts = {
        "images": told.images,
        "unreadable": told.unreadable,
        "masks": told.masks,
        "layout": told.layout,
        "sizes": ", ".join(f"{size} ({count:,})" for size, count in list(told.sizes.items())[:5]),
        "colour": told.colour,
        "grey": told.grey,
    }
    problems = [[each.severity, each.path, each.message] for each in report.problems]
    data = {"ok": report.ok, **dataclasses.asdict(report)}
    screen.result(data, [*summary(facts)])
    if not as_json:
        print_table(problems, ["severity", "path", "problem"])
        if not problems:
            screen.note("nothing is wrong")
    raise typer.Exit(0 if report.ok else 1)

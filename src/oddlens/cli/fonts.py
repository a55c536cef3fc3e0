"""``oddlens fonts``: draw a style data set from open fonts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oddlens.cli.options import JsonFlag, QuietFlag
from oddlens.cli.runner import verb
from oddlens.cli.screen import Screen


@verb
def fonts(
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to make.")],
    where: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FONT",
            help="Font files (.ttf, .otf, .ttc) or folders of them; default: those that come with "
            "matplotlib.",
            show_default=False,
        ),
    ] = None,
    size: Annotated[int, typer.Option("--size", help="Side of the images in pixels.")] = 32,
    n_train: Annotated[int, typer.Option("--train", help="Training images of each glyph.")] = 6,
    n_test: Annotated[int, typer.Option("--test", help="Test images of each glyph.")] = 3,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the places of the glyphs.")] = 0,
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Draw a style data set from open fonts: one font a class, for the protocol style."""
    from oddlens.demo.fonts import find_fonts, make_font_dataset

    screen = Screen(as_json=as_json, quiet=quiet)
    made = make_font_dataset(
        out,
        find_fonts(where) if where else None,
        size=size,
        n_train=n_train,
        n_test=n_test,
        seed=seed,
    )
    for name, reason in made.left_out.items():
        screen.warn(f"{name} is left out: {reason}")
    facts = {
        "folder": made.root,
        "fonts": list(made.fonts),
        "letters": made.letters,
        "left_out": made.left_out,
    }
    rows = [["fonts", ", ".join(made.fonts)], ["pixels to the em", str(made.letters)]]
    screen.result(facts, [["folder", str(made.root)], *rows])
    screen.note(
        f"measure with `oddlens benchmark style --data folder --root {made.root} --method ...`"
    )

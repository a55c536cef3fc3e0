"""``oddlens ensemble``: several fitted detectors as one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from oddlens.cli.options import Device, JsonFlag, OnBadOption, QuietFlag, path_or_paths
from oddlens.cli.runner import verb
from oddlens.cli.screen import Screen, summary
from oddlens.errors import UsageError


@verb
def ensemble(
    models: Annotated[
        list[Path], typer.Argument(metavar="MODEL...", help="Fitted detectors, at least one.")
    ],
    normal: Annotated[
        list[str],
        typer.Option(
            "--normal",
            help="Normal images to calibrate with; those that a detector was trained on are left "
            "out. Repeatable.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to save the ensemble.")],
    fusion: Annotated[
        Literal["fisher", "stouffer", "min_p", "mean", "max"],
        typer.Option("--fusion", help="How the detectors become one score."),
    ] = "fisher",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the draw of images.")] = 0,
    device: Annotated[Device, typer.Option("--device", help="Where to compute.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace what is at --out.")] = False,
    on_bad: OnBadOption = "raise",
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Make one detector of several fitted ones: what any of them sees counts.

    `oddlens fit --method ssm,anomem` fits the members as well.
    """
    from oddlens.detector import load
    from oddlens.ensemble import Ensemble

    screen = Screen(as_json=as_json, quiet=quiet)
    refuse_to_overwrite(out, force=force)
    made = Ensemble([load(model, device=device) for model in models], fusion=fusion)
    with screen.progress() as progress:
        made.calibrate(path_or_paths(normal), seed=seed, on_bad=on_bad, progress=progress)
    made.save(out)
    facts = {"artifact": out, "members": list(made.named_members), **made.fit_report}
    told = {**facts, "members": ", ".join(made.named_members)}
    screen.result(facts, summary(told))


def refuse_to_overwrite(out: Path, *, force: bool) -> None:
    """Say no before the work, not after it.

    Raises:
        UsageError: something is at ``out`` that shall not or cannot be replaced.
    """
    if out.exists() and not force:
        raise UsageError(f"{out} exists: choose another --out, or replace it with --force")
    if out.exists() and not (out / "config.json").is_file():
        raise UsageError(f"{out} is no saved detector, so --force does not replace it")

"""What to know before trusting predictions: files left out, rates that cannot be guaranteed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from oddlens.cli.screen import Screen

if TYPE_CHECKING:
    from oddlens.images import Skipped
    from oddlens.predictions import Predictions

_NAMED = 5


def tell_caveats(screen: Screen, predictions: Predictions) -> None:
    """Warn of skipped files and of a false-alarm rate that the hold-out is too small for."""
    if predictions.skipped:
        screen.warn(skipped_sentence(predictions.skipped))
    if predictions.threshold.message:
        screen.warn(predictions.threshold.message)


def skipped_sentence(skipped: Sequence[Skipped]) -> str:
    """Say which files were left out and why: the first few, then a count."""
    named = "; ".join(f"{bad.name}: {bad.reason}" for bad in skipped[:_NAMED])
    more = f"; and {len(skipped) - _NAMED:,} more" if len(skipped) > _NAMED else ""
    files = "1 file was" if len(skipped) == 1 else f"{len(skipped):,} files were"
    return f"{files} skipped: {named}{more}"

"""Is a task of use? One that everybody solves says nothing, nor does one that nobody solves.

MultiTask, section 3: too hard gives no useful features; too easy, and anomalies are solved too.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

TOO_EASY = 0.999
"""Accuracy on held-out normals from which on anomalies may be recognised as well (our choice)."""
LEARNED = 0.1
"""Of the way from chance to perfect that a task must have gone to count as learned (our choice)."""


def warn_of_difficulty(solved: Mapping[str, float], chance: Mapping[str, float]) -> None:
    """Name with a ``UserWarning`` each task that is too easy or was not learned.

    Args:
        solved: accuracy of each task on held-out normals, in [0, 1].
        chance: accuracy of a guess.
    """
    for name, value in solved.items():
        if value >= TOO_EASY:
            problem = "is too easy: anomalies may pass it as well"
        elif value < chance[name] + LEARNED * (1 - chance[name]):
            problem = "was not learned: its cue says little; train longer or leave it out"
        else:
            continue
        warnings.warn(
            f"task {name} {problem} ({100 * value:.1f} % of held-out normals are recognised, "
            f"chance is {100 * chance[name]:.1f} %)",
            UserWarning,
            stacklevel=1,
        )

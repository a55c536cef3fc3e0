"""Which normal images scale the members' scores, and which calibrate the fused one?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from oddlens.errors import DataError
from oddlens.held_out import TO_SCALE
from oddlens.images import KnownImages


@dataclass(frozen=True)
class Division:
    """Normal images, divided; places in their source, in order.

    Attributes:
        trained: a member was trained on them.
        scale: what the members' scores are ranked among.
        calibration: what calibrates the fused score: nothing was chosen on them, by any member,
            and the fused score does not depend on them.
    """

    trained: list[int]
    scale: list[int]
    calibration: list[int]


def divide(digests: Mapping[int, str], known: Sequence[KnownImages], seed: int) -> Division:
    """Divide normal images by what the members know of them.

    Of those that no member was trained on, a third (as in ``holdout_split``) scales: first those
    that a member was tuned on, then some at random. The others calibrate. So the images of one fit
    are divided as they were there, and fresh ones likewise. Where fewer than eight would scale,
    images of training help, as they do in a fit.

    Args:
        digests: of the images, by their place in the source.
        known: of each member.
        seed: of the draw.

    Raises:
        DataError: no image is left to calibrate with.
    """
    trained_on = frozenset().union(*(each.trained for each in known))
    tuned_on = frozenset().union(*(each.tuned for each in known)) - trained_on
    trained = [index for index, each in digests.items() if each in trained_on]
    tuned = [index for index, each in digests.items() if each in tuned_on]
    fresh = [index for index, each in digests.items() if each not in trained_on | tuned_on]
    drawn = max((len(tuned) + len(fresh)) // 3, 1) - len(tuned)
    order = np.random.default_rng(seed).permutation(len(fresh)).tolist()
    chosen = {fresh[at] for at in order[: max(drawn, 0)]}
    calibration = [index for index in fresh if index not in chosen]
    if not calibration:
        raise DataError(
            f"members were trained or tuned on {len(trained) + len(tuned):,} of the "
            f"{len(digests):,} normal images, which leaves {len(fresh):,} to calibrate the "
            "ensemble with: give at least two that no member has met"
        )
    missing = max(0, TO_SCALE - len(tuned) - len(chosen))
    step = max(1, len(trained) // missing) if missing else 1
    scale = sorted([*tuned, *chosen, *trained[::step][:missing]])
    return Division(trained, scale, calibration)

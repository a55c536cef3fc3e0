"""Out of distribution: all classes of one data set are normal, another data set's are odd.

Learned from all training images of the one, without labels; tested on the test splits of both.

The odd images are brought to the size, and where the normal ones are grey to grey (see
``oddlens.images.catalogue.joined``): else their size and colour would give them away, and nothing
would be measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np

from oddlens.errors import UsageError
from oddlens.evaluation.bootstrap import bootstrap, with_ends
from oddlens.evaluation.metrics import Floats, fpr_at_tpr
from oddlens.evaluation.protocols.base import Protocol, Tested, TestSet, TrialImages
from oddlens.images.catalogue import ClassData, open_data
from oddlens.images.catalogue.joined import joined

EVERYTHING = "all classes"
FOUND = 0.95
"""The share that the threshold finds."""


@dataclass(frozen=True)
class OutOfDistribution(Protocol):
    """See the module.

    Attributes:
        odd: the data set whose test images are odd, as it names itself.
        odd_sha256: of it, so that trials of different copies are never taken for one.
        odd_root: where it lies, or None for what is embedded.
    """

    odd: str = ""
    odd_sha256: str = ""
    odd_root: Path | None = None

    name: ClassVar[str] = "out-of-distribution"
    settings: ClassVar[tuple[str, ...]] = ("odd", "odd_sha256")

    def targets(self, data: ClassData) -> Sequence[str]:
        """All classes together."""
        return [EVERYTHING]

    def images(self, data: ClassData, target: str, seed: int) -> TrialImages:
        """All training images to learn from, both test splits to be tested on.

        Raises:
            UsageError: no odd data set is named, or it is the normal one.
            DataError: it cannot be read.
        """
        if not self.odd:
            raise UsageError(f"{self.name} needs a data set whose images are odd: give --odd")
        odd = open_odd(self.odd.partition(":")[0], self.odd_root)
        if odd.sha256 == data.sha256:
            raise UsageError(f"--odd {self.odd} is the normal data set itself: name another")
        kinds = [
            *(data.classes[label] for label in data.test.labels),
            *(f"{odd.name} {odd.classes[label]}" for label in odd.test.labels),
        ]
        images = joined(data.test.images, odd.test.images, names=(data.name, odd.name))
        labels = np.repeat([False, True], [len(data.test), len(odd.test)])
        return TrialImages(data.train.images, TestSet(images, labels, kinds))

    def metrics(self, data: ClassData, tested: Tested) -> dict[str, float]:
        """Two rates that papers both call "FPR at 95 % TPR", in [0, 1].

        - ``fpr_at_95_tpr``: the share of odd images that pass where 95 % of the normal ones do.
          Normal images are the positive ones, as of ODIN (Liang et al. 2018) and most since.
        - ``false_alarms_at_95_found``: the share of normal images that are flagged where 95 % of
          the odd ones are. Odd images are the positive ones, as of Hendrycks et al. 2019.

        Each with ``_low`` and ``_high``, of a bootstrap over images, within the normal and within
        the odd ones; each replicate finds its thresholds anew.
        """
        scores, labels = tested.scores, tested.labels
        points = {
            "fpr_at_95_tpr": fpr_at_tpr(-scores, ~labels, FOUND),
            "false_alarms_at_95_found": fpr_at_tpr(scores, labels, FOUND),
        }
        return with_ends(points, bootstrap([scores[~labels], scores[labels]], _rates))


@lru_cache(maxsize=1)
def open_odd(name: str, root: Path | None) -> ClassData:
    """The odd data set, read once for all trials of a process; see ``open_data``."""
    return open_data(name, root)


def _rates(groups: Sequence[Floats]) -> dict[str, float]:
    """The rates of normal and of odd scores."""
    normal, odd = groups
    return {
        "fpr_at_95_tpr": _flagged(-normal, -odd),
        "false_alarms_at_95_found": _flagged(odd, normal),
    }


def _flagged(positive: Floats, negative: Floats) -> float:
    """``fpr_at_tpr`` without sorting all scores, of which a bootstrap would take most of its time.

    Args:
        positive: (N,) scores of which ``FOUND`` are to be at or above the threshold.
        negative: (M,) scores of which the share there is wanted.
    """
    count = len(positive)
    needed = int(np.argmax(np.arange(1, count + 1) / count >= FOUND)) + 1
    threshold = np.partition(positive, count - needed)[count - needed]
    return float((negative >= threshold).mean())

"""One-vs-all: each class in turn is normal, all others are anomalous.

The common form (GeoTrans, Golan and El-Yaniv 2018): train on the training images of one class, test
on the whole test split, report the AUROC of each class and their mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from oddlens.errors import UsageError
from oddlens.evaluation.protocols.base import TestSet, TrialImages
from oddlens.images.catalogue import ClassData


class OneVsAll:
    """See the module."""

    name = "one-vs-all"
    settings: ClassVar[tuple[str, ...]] = ()

    def targets(self, data: ClassData) -> Sequence[str]:
        """Every class."""
        return data.classes

    def images(self, data: ClassData, target: str, seed: int) -> TrialImages:
        """One class to learn from, everything to be tested on; nothing is drawn.

        Raises:
            UsageError: the data set has no such class.
        """
        if target not in data.classes:
            raise UsageError(f"{data.name} has no class {target!r}: {', '.join(data.classes)}")
        label = data.classes.index(target)
        kinds = [data.classes[each] for each in data.test.labels]
        test = TestSet(data.test.images, data.test.labels != label, kinds)
        return TrialImages(data.train.of_class(label), test)

    def metrics(self, scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> dict[str, float]:
        """Nothing beside AUROC."""
        return {}

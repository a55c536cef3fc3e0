"""One-vs-all: each class in turn is normal, all others are anomalous.

The common form (GeoTrans, Golan and El-Yaniv 2018): train on the training images of one class, test
on the whole test split, report the AUROC of each class and their mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from oddlens.errors import UsageError
from oddlens.evaluation.protocols.base import Protocol, TestSet, TrialImages
from oddlens.images.catalogue import ClassData


class OneVsAll(Protocol):
    """See the module."""

    name = "one-vs-all"

    def targets(self, data: ClassData) -> Sequence[str]:
        """Every class that there is something of to learn from."""
        return [data.classes[label] for label in np.unique(data.train.labels)]

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

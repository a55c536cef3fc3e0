"""Localization: each category in turn; defects are to be found, and shown where they are.

For data sets in MVTec's layout, one folder a category: learned from ``train/good``, tested on
``test``, and measured by ``oddlens.evaluate``: image AUROC, and where there are masks pixel AUROC,
pixel AP and AUPRO (pooled over the category, up to a false-positive rate of 0.3).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from oddlens.errors import UsageError
from oddlens.evaluation.evaluate import evaluate_predictions
from oddlens.evaluation.masks import check_masks
from oddlens.evaluation.protocols.base import Protocol, Tested, TestSet, TrialImages
from oddlens.images import DatasetLayout, read_layout
from oddlens.images.catalogue import ClassData
from oddlens.images.catalogue.categories import categories_of
from oddlens.images.catalogue.labelled import digest_of_files

REPLICATES = 1000
_KEPT = ("pixel_auroc", "pixel_ap", "aupro", "image_ap", "image_f1_max")


class Localization(Protocol):
    """See the module."""

    name = "localization"
    maps = True
    hashes_targets = True

    def targets(self, data: ClassData) -> Sequence[str]:
        """Every category.

        Raises:
            UsageError: the data set has no categories.
        """
        found = categories_of(data)
        if not found:
            raise UsageError(
                f"{data.name} has classes and no categories with masks: use --data mvtec or "
                "magnetic-tile, or another protocol"
            )
        return found

    def images(self, data: ClassData, target: str, seed: int) -> TrialImages:
        """A category's good training images to learn from, all its test images to be tested on.

        Raises:
            UsageError: the data set has no such category.
            DataError: a mask is damaged or of another size than its image.
        """
        layout = self._layout(data, target)
        check_masks(layout.test)
        labels = np.array([image.is_anomaly for image in layout.test])
        kinds = [image.defect for image in layout.test]
        return TrialImages(
            layout.train, TestSet([each.path for each in layout.test], labels, kinds)
        )

    def digest(self, data: ClassData, target: str) -> str:
        """Of the category's images and masks: another category may come and go."""
        assert data.root is not None
        layout = self._layout(data, target)
        masks = [image.mask for image in layout.test if image.mask is not None]
        files = [*layout.train, *(image.path for image in layout.test), *masks]
        return digest_of_files(files, data.root / target)

    def metrics(self, data: ClassData, tested: Tested) -> dict[str, float]:
        """``pixel_auroc``, ``pixel_ap``, ``aupro``, ``image_ap`` and ``image_f1_max``.

        Each with ``_low`` and ``_high``; those of pixels where there are masks.
        """
        layout = self._layout(data, tested.target)
        measured = evaluate_predictions(tested.predictions, layout, bootstrap=REPLICATES)
        names = [f"{name}{end}" for name in _KEPT for end in ("", "_low", "_high")]
        return {name: measured.metrics[name] for name in names if name in measured.metrics}

    def _layout(self, data: ClassData, target: str) -> DatasetLayout:
        if target not in categories_of(data) or data.root is None:
            known = ", ".join(categories_of(data))
            raise UsageError(f"{data.name} has no category {target!r}: {known}")
        return read_layout(data.root / target)

"""One-vs-all: one class is normal, every other one is odd; each class in turn.

Train on the class's training images alone; test on the whole test split (GeoTrans, MHRot,
MultiTask, MultiCue, AnoMem). The mean over classes is what papers print.
"""

from __future__ import annotations

from oddlens.evaluation.protocols.trial import Trial
from oddlens.images.named import NamedData


def one_vs_all(data: NamedData, normal: str, *, test_limit: int | None = None) -> Trial:
    """The trial in which one class is normal.

    Args:
        data: opened data set.
        normal: name or number of the class.
        test_limit: score so many test images of each class at most, for a quick look; such numbers
            are recorded apart.

    Raises:
        UsageError: there is no such class.
    """
    label = data.label(normal)
    test = data.test if test_limit is None else data.test.sample(test_limit, seed=0)
    return Trial(
        protocol="one-vs-all",
        normal=data.classes[label],
        train=data.train.of(label),
        test=test.images,
        anomalous=test.labels != label,
    )

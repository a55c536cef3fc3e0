"""What a protocol is: a way to make trials of a data set, and the images of each trial."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from oddlens.images.catalogue import ClassData, Content, Images
from oddlens.scoring import Calibration

if TYPE_CHECKING:
    from oddlens.predictions import Predictions


@dataclass(frozen=True)
class Trial:
    """One fit and one test, said in plain values, so that it can go to another process.

    Attributes:
        protocol: which one.
        data: the data set's name in the catalogue.
        root: where it lies, or None for what is embedded.
        data_sha256: of the data set, so that trials of different copies are never taken for one.
        target: what is normal in this trial: a class, a category.
        method: the detector's name, or several with commas between: an ensemble of them.
        options: of the detector, as given: the preset and all that differs from its defaults; of
            an ensemble by member, see ``ensemble.making.make``.
        seed: of the training.
        minutes: training budget, or None.
        epochs: passes over the images, or None; both None for the method's own length.
        test_limit: how many test images are looked at, or None for all.
        device: where to compute.
        setting: of the protocol, in what JSON knows, such as how many anomalies are labelled.
        places: where on this machine the protocol finds what it needs beside the data set; taken
            by the protocol as keywords, and no part of the key.
    """

    protocol: str
    data: str
    root: Path | None
    data_sha256: str
    target: str
    method: str
    options: Mapping[str, Any]
    seed: int
    minutes: float | None = None
    epochs: int | None = None
    test_limit: int | None = None
    device: str = "auto"
    setting: Mapping[str, Any] = field(default_factory=dict)
    places: Mapping[str, Path] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What makes two trials the same measurement; where and on what it runs does not."""
        return key_of(
            {
                "protocol": self.protocol,
                "data_sha256": self.data_sha256,
                "target": self.target,
                "method": self.method,
                "options": dict(self.options),
                "seed": self.seed,
                "minutes": self.minutes,
                "epochs": self.epochs,
                "test_limit": self.test_limit,
                "setting": dict(self.setting),
            }
        )


KEYS = (
    *("protocol", "data_sha256", "target", "method", "options"),
    *("seed", "minutes", "epochs", "test_limit"),
)
"""The fields of a trial that make its key, and where it is not empty ``setting``."""


def key_of(facts: Mapping[str, Any]) -> str:
    """The key of a trial or of its record, from the fields that both have."""
    chosen = {name: facts[name] for name in KEYS}
    if facts.get("setting"):  # protocols without settings keep the keys that they always had
        chosen["setting"] = facts["setting"]
    if chosen["minutes"] is not None:
        chosen["minutes"] = float(chosen["minutes"])
    return json.dumps(chosen, sort_keys=True, default=list)


@dataclass(frozen=True, eq=False)
class TestSet:
    """The images that a trial is tested on.

    Attributes:
        images: N of them.
        labels: (N,) bool, true = anomalous.
        kinds: (N,) what each image is: its class, its defect.
    """

    __test__ = False  # not a test case, whatever pytest makes of the name

    images: Images
    labels: NDArray[np.bool_]
    kinds: Sequence[str]


@dataclass(frozen=True, eq=False)
class TrialImages:
    """What a trial learns from and is tested on.

    Attributes:
        train: normal images.
        test: labelled images, none of which is among ``train``.
        anomalies: a few labelled anomalies to learn from, where the protocol gives some.
    """

    train: Images
    test: TestSet
    anomalies: Images | None = field(default=None)


@dataclass(frozen=True, eq=False)
class Tested:
    """What a detector said of a test set.

    Attributes:
        target: what was normal.
        predictions: of the N images that could be read.
        labels: (N,) bool, true = anomalous.
        kinds: (N,) what each image is.
        calibration: of held-out normal training images, for thresholds that the test does not
            choose.
    """

    __test__ = False  # as above

    target: str
    predictions: Predictions
    labels: NDArray[np.bool_]
    kinds: Sequence[str]
    calibration: Calibration

    @property
    def scores(self) -> NDArray[np.float64]:
        """(N,) higher = more anomalous."""
        return self.predictions.scores


class Protocol(ABC):
    """A published way to evaluate.

    Attributes:
        name: in ``PROTOCOLS``.
        settings: what a trial may set, by its name; the class takes them as keywords.
        content: what images show, as the rules of flips see it, where that is the protocol's to
            say and not the data set's.
        maps: whether anomaly maps are asked for.
        hashes_targets: whether ``digest`` is of a target's own images, so that the trials of one
            table have different ones.
    """

    name: ClassVar[str]
    settings: ClassVar[tuple[str, ...]] = ()
    content: ClassVar[Content | None] = None
    maps: ClassVar[bool] = False
    hashes_targets: ClassVar[bool] = False

    @abstractmethod
    def targets(self, data: ClassData) -> Sequence[str]:
        """What is normal, in turn: a trial for each.

        Raises:
            UsageError: the data set is none for this protocol.
        """

    @abstractmethod
    def images(self, data: ClassData, target: str, seed: int) -> TrialImages:
        """The images of one trial.

        Args:
            data: the data set.
            target: one of ``targets``.
            seed: of whatever the protocol draws.
        """

    def digest(self, data: ClassData, target: str) -> str:
        """A hash of what a trial of this target reads of the data set: all of it."""
        return data.sha256

    def metrics(self, data: ClassData, tested: Tested) -> dict[str, float]:
        """What the protocol reports beside AUROC, such as an error rate: nothing.

        Args:
            data: the data set.
            tested: what the detector said.
        """
        return {}


def limited(test: TestSet, limit: int | None) -> TestSet:
    """A part of a test set for a quick look, drawn at random by a fixed seed.

    Normal and anomalous images keep their shares, with at least two of each.

    Args:
        test: the whole set.
        limit: how many images, at least four; None for all.
    """
    if limit is None or limit >= len(test.labels):
        return test
    rng = np.random.default_rng(0)
    normal, anomalous = np.flatnonzero(~test.labels), np.flatnonzero(test.labels)
    wanted = round(limit * len(normal) / len(test.labels))
    count = min(max(wanted, 2), limit - 2)
    chosen = np.sort(
        np.concatenate(
            [rng.permutation(normal)[:count], rng.permutation(anomalous)[: limit - count]]
        )
    )
    return TestSet(
        take(test.images, chosen), test.labels[chosen], [test.kinds[index] for index in chosen]
    )


def take(images: Images, indices: NDArray[np.intp]) -> Images:
    """Some of the images, in the given order."""
    if isinstance(images, np.ndarray):
        return images[indices]
    if isinstance(images, list):
        return [images[index] for index in indices]
    return images.take(indices.tolist())

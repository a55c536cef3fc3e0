"""Few labelled anomalies: one-vs-all where a share of the training images are known anomalies.

As Deep SAD has it (Ruff et al. 2020): ``gamma`` is the share of labelled anomalies among all
training images, so that there are ``round(gamma n / (1 - gamma))`` of them beside n normal ones,
those that the detector holds out included. They come from the training split, of all other classes,
or of a single one, as Deep SAD has it, so that the test meets kinds of anomalies that were never
seen. What the original of AnoMem did is not known (AM-U16).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from oddlens.errors import DataError, UsageError
from oddlens.evaluation.protocols.base import Protocol, TrialImages, take
from oddlens.evaluation.protocols.one_vs_all import OneVsAll
from oddlens.images.catalogue import ClassData

Draw = Literal["none", "all", "single"]

GAMMAS = (0.0, 0.005, 0.01, 0.05, 0.1)
"""The shares that are measured where none are asked for (our choice, around Deep SAD's)."""
DRAWS: tuple[Draw, ...] = ("all", "single")


@dataclass(frozen=True)
class FewAnomalies(Protocol):
    """See the module.

    Attributes:
        gamma: labelled anomalies as a share of all training images, in [0, 0.5].
        anomalies: ``all``: drawn from all other classes, each image as likely; ``single``: from one
            other class, which the seed decides; ``none`` where gamma is 0.

    Raises:
        UsageError: gamma is out of range, or there is no such draw.
    """

    gamma: float = 0.0
    anomalies: Draw = "none"

    name: ClassVar[str] = "few-anomalies"
    settings: ClassVar[tuple[str, ...]] = ("gamma", "anomalies")

    def __post_init__(self) -> None:
        if not 0 <= self.gamma <= 0.5:
            raise UsageError(f"gamma is {self.gamma:g}; it must be from 0 to 0.5")
        if self.anomalies not in (DRAWS if self.gamma else ("none",)):
            raise UsageError(
                f"anomalies {self.anomalies} does not go with gamma {self.gamma:g}: use "
                f"{' or '.join(DRAWS)}, or none where gamma is 0"
            )

    def targets(self, data: ClassData) -> Sequence[str]:
        """Every class that there is something of to learn from."""
        return OneVsAll().targets(data)

    def images(self, data: ClassData, target: str, seed: int) -> TrialImages:
        """One class and some labelled anomalies to learn from, everything to be tested on.

        Of one seed and draw, the anomalies of a smaller gamma are among those of a larger one.

        Raises:
            UsageError: the data set has no such class.
            DataError: gamma comes to no anomaly at all, or to more than there are.
        """
        found = OneVsAll().images(data, target, seed)
        if not self.gamma:
            return found
        label = data.classes.index(target)
        wanted = round(self.gamma * len(found.train) / (1 - self.gamma))
        order = self._order(data, label, seed)
        if not 1 <= wanted <= len(order):
            raise DataError(
                f"{data.name}, {target}: gamma {self.gamma:g} of {len(found.train):,} normal "
                f"images comes to {wanted:,} anomalies, but from 1 to {len(order):,} can be drawn: "
                "ask for another gamma"
            )
        return TrialImages(found.train, found.test, take(data.train.images, order[:wanted]))

    def _order(self, data: ClassData, label: int, seed: int) -> NDArray[np.intp]:
        """The training images that may be drawn, in the order of their drawing."""
        rng = np.random.default_rng([seed, label])
        labels = data.train.labels
        others = [each for each in range(len(data.classes)) if each != label]
        if self.anomalies == "single":
            others = [others[rng.integers(len(others))]]
        return rng.permutation(np.flatnonzero(np.isin(labels, others)))


def settings(gammas: Sequence[float], draws: Sequence[str]) -> list[dict[str, float | str]]:
    """The settings of a sweep; gamma 0 stands once, whatever is drawn.

    Raises:
        UsageError: a gamma is out of range, or there is no such draw.
    """
    for draw in draws:
        if draw not in DRAWS:
            raise UsageError(f"--anomalies {draw}: use {' or '.join(DRAWS)}")
    chosen = [known for draw in draws for known in DRAWS if known == draw]
    sweep = [
        FewAnomalies(gamma=gamma, anomalies=draw if gamma else "none")
        for draw in chosen
        for gamma in gammas
    ]
    found: list[dict[str, float | str]] = [
        {"gamma": each.gamma, "anomalies": each.anomalies} for each in sweep
    ]
    return [each for at, each in enumerate(found) if each not in found[:at]]

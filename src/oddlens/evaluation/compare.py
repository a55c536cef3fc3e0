"""Is one method better than another? Paired tests over the classes of recorded trials.

Two methods that were measured on the same classes are compared class by class: what makes a class
hard makes it hard for both, and the pairing takes that out. The test is Wilcoxon's signed-rank test
over classes, as Demšar (2006) advises for comparisons over several data sets; zero differences take
part, after Pratt (1959).

What it says is of classes like these. It does not know the spread of retraining, which the seeds
tell, and of ten classes of one data set it cannot say what another data set would.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from statistics import fmean, median

import numpy as np

from oddlens.errors import DataError
from oddlens.evaluation.records import Record
from oddlens.evaluation.summary import Configuration, Summary, summarise


@dataclass(frozen=True)
class Comparison:
    """Two methods on the classes that both were measured on.

    Attributes:
        first, second: whose.
        classes: AUROC of both by class, over the seeds that both have.
        seeds: which those are, over all classes.
        p_value: of Wilcoxon's signed-rank test, two-sided: how often differences as lopsided as
            these come about where neither is better. 1 where no class differs.
        least_p_value: the smallest that so many classes can give; where it is above the level that
            is asked for, nothing can be shown with them.
    """

    first: Configuration
    second: Configuration
    classes: dict[str, tuple[float, float]]
    seeds: tuple[int, ...]
    p_value: float
    least_p_value: float

    @property
    def means(self) -> tuple[float, float]:
        """Mean AUROC over the classes, of either."""
        one, other = zip(*self.classes.values(), strict=True)
        return fmean(one), fmean(other)

    @property
    def differences(self) -> dict[str, float]:
        """Second less first, by class."""
        return {name: other - one for name, (one, other) in self.classes.items()}

    @property
    def median_difference(self) -> float:
        """Of the classes."""
        return median(self.differences.values())

    @property
    def wins(self) -> tuple[int, int]:
        """In how many classes the first, and the second, is better."""
        values = self.differences.values()
        return sum(value < 0 for value in values), sum(value > 0 for value in values)


def compare(records: Iterable[Record], first: str, second: str) -> list[Comparison]:
    """Compare two methods wherever both were measured alike.

    Alike is: the same protocol, data (by its hash) and setting, all or the same part of the test
    images, the same kind of machine, and the same budget, which may differ where a method is held
    against itself. Options may differ, and are told: every configuration of the one is held
    against every one of the other.

    Args:
        records: of any trials.
        first: a method's name.
        second: another's, or the same: then its configurations among one another.

    Raises:
        DataError: a method has no records, or there is no class that both have.
    """
    summaries = summarise(records)
    for name in (first, second):
        if all(each.configuration.method != name for each in summaries):
            known = ", ".join(sorted({each.configuration.method for each in summaries})) or "none"
            raise DataError(f"there are no records of {name}: there are some of {known}")
    pairs = [
        pair
        for pair in product(summaries, repeat=2)
        if (pair[0].configuration.method, pair[1].configuration.method) == (first, second)
        and _alike(*pair, budget=first != second)
    ]
    if first == second:
        places = {id(summary): at for at, summary in enumerate(summaries)}
        pairs = [pair for pair in pairs if places[id(pair[0])] < places[id(pair[1])]]
    found = [each for each in (_compared(*pair) for pair in pairs) if each is not None]
    if not found:
        raise DataError(
            f"{first} and {second} were never measured on the same class of the same data by the "
            "same protocol, with the same seed, test images and kind of machine"
        )
    return found


def wilcoxon(differences: Iterable[float]) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test, zeros ranked after Pratt; exact for few.

    Args:
        differences: one a class.
    """
    from scipy.stats import PermutationMethod
    from scipy.stats import wilcoxon as test

    values = np.array(list(differences), dtype=np.float64)
    if len(values) == 1 or not values.any():  # scipy refuses what can show nothing
        return 1.0
    # Of up to 13 pairs every one of the 2^n signs is gone through, so ties and zeros are exact.
    method = PermutationMethod(n_resamples=2**13) if len(values) <= 13 else "auto"
    return float(test(values, zero_method="pratt", method=method).pvalue)


def _alike(one: Summary, other: Summary, *, budget: bool) -> bool:
    shared = ["protocol", "data_sha256", "data", "setting", "test_limit", "device"]
    shared += ["minutes", "epochs"] if budget else []
    return all(
        getattr(one.configuration, name) == getattr(other.configuration, name) for name in shared
    )


def _compared(one: Summary, other: Summary) -> Comparison | None:
    """The comparison on what both have; None where that is nothing."""
    first, second = _by_class(one), _by_class(other)
    classes: dict[str, tuple[float, float]] = {}
    seeds: set[int] = set()
    for name in one.classes:
        common = first[name].keys() & second.get(name, {}).keys()
        if common:
            seeds |= common
            means = [fmean(each[name][seed] for seed in sorted(common)) for each in (first, second)]
            classes[name] = (means[0], means[1])
    if not classes:
        return None
    return Comparison(
        first=one.configuration,
        second=other.configuration,
        classes=classes,
        seeds=tuple(sorted(seeds)),
        p_value=wilcoxon(b - a for a, b in classes.values()),
        least_p_value=min(1.0, 2.0 ** (1 - len(classes))),
    )


def _by_class(summary: Summary) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    for record in summary.records:
        found.setdefault(record.target, {})[record.seed] = record.metrics.image_auroc
    return found

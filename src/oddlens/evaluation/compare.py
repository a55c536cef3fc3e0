"""Is one method better than another? Paired tests over the classes of recorded trials.

Two methods that were measured on the same classes are compared class by class: what makes a class
hard makes it hard for both, and the pairing takes that out. The test is Wilcoxon's signed-rank test
over classes, as Demšar (2006) advises for comparisons over several data sets; zero differences take
part, after Pratt (1959).

What it says is of classes like these. It does not know the spread of retraining, which the seeds
tell, and of ten classes of one data set it cannot say what another data set would.

Where the scores of both were kept, each trial is tested on its own as well, image by image, by
DeLong's test, and the p-values of one comparison are adjusted by Holm's method: what is left says
of which classes a difference would stand on other test images. Where there are several seeds, the
variance of the differences is split into that of seeds and that of classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import fmean, median

import numpy as np

from oddlens.errors import DataError
from oddlens.evaluation.kept_scores import read_scores
from oddlens.evaluation.paired import (
    PairedDifference,
    SeedNoise,
    delong_paired,
    holm,
    seed_noise,
)
from oddlens.evaluation.records import Record
from oddlens.evaluation.summary import Configuration, Summary, summarise


@dataclass(frozen=True)
class PairedTrial:
    """Two methods on the test images of one trial.

    Attributes:
        target, seed: of the trial.
        delong: the difference, second less first, and its test.
        adjusted: its p-value after Holm, over all trials of the comparison.
    """

    target: str
    seed: int
    delong: PairedDifference
    adjusted: float


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
        trials: those whose scores were kept for both, each with DeLong's test.
        noise: the variance of the differences split into seeds and classes; None where no class
            has two seeds.
    """

    first: Configuration
    second: Configuration
    classes: dict[str, tuple[float, float]]
    seeds: tuple[int, ...]
    p_value: float
    least_p_value: float
    trials: tuple[PairedTrial, ...] = ()
    noise: SeedNoise | None = None

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


def compare(
    records: Iterable[Record], first: str, second: str, *, scores: Path | None = None
) -> list[Comparison]:
    """Compare two methods wherever both were measured alike.

    Alike is: the same protocol, data (by its hash) and setting, all or the same part of the test
    images, the same kind of machine, and the same budget (minutes in the same precision), which may
    differ where a method is held against itself. Options may differ, and are told: every
    configuration of the one is held against every one of the other.

    Args:
        records: of any trials.
        first: a method's name.
        second: another's, or the same: then its configurations among one another.
        scores: the folder that scores were kept in; None for no tests of single trials.

    Raises:
        DataError: a method has no records, there is no class that both have, or a file of scores
            is damaged.
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
    found = [
        each for each in (_compared(*pair, scores=scores) for pair in pairs) if each is not None
    ]
    if not found:
        raise DataError(
            f"{first} and {second} were never measured on the same class of the same data by the "
            "same protocol, with the same seed, test images, budget and kind of machine"
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
    shared += ["minutes", "epochs", "precision"] if budget else []
    return all(
        getattr(one.configuration, name) == getattr(other.configuration, name) for name in shared
    )


def _compared(one: Summary, other: Summary, *, scores: Path | None) -> Comparison | None:
    """The comparison on what both have; None where that is nothing."""
    first, second = _by_class(one), _by_class(other)
    pairs = {
        name: {
            seed: (each, second[name][seed])
            for seed, each in sorted(first[name].items())
            if seed in second.get(name, {})
        }
        for name in one.classes
    }
    pairs = {name: by_seed for name, by_seed in pairs.items() if by_seed}
    if not pairs:
        return None
    classes = {
        name: (_mean(a for a, _ in by_seed.values()), _mean(b for _, b in by_seed.values()))
        for name, by_seed in pairs.items()
    }
    differences = {
        name: {seed: _auroc(b) - _auroc(a) for seed, (a, b) in by_seed.items()}
        for name, by_seed in pairs.items()
    }
    return Comparison(
        first=one.configuration,
        second=other.configuration,
        classes=classes,
        seeds=tuple(sorted({seed for by_seed in pairs.values() for seed in by_seed})),
        p_value=wilcoxon(b - a for a, b in classes.values()),
        least_p_value=min(1.0, 2.0 ** (1 - len(classes))),
        trials=() if scores is None else _trials(pairs, scores),
        noise=seed_noise(differences),
    )


def _trials(
    pairs: Mapping[str, Mapping[int, tuple[Record, Record]]], folder: Path
) -> tuple[PairedTrial, ...]:
    """DeLong's test of each trial whose scores lie in the folder, adjusted after Holm."""
    tested = [
        (name, seed, difference)
        for name, by_seed in pairs.items()
        for seed, both in by_seed.items()
        if (difference := _delong(*both, folder)) is not None
    ]
    adjusted = holm([difference.p_value for _, _, difference in tested])
    return tuple(PairedTrial(*each, p) for each, p in zip(tested, adjusted, strict=True))


def _delong(one: Record, other: Record, folder: Path) -> PairedDifference | None:
    first, second = read_scores(folder, one), read_scores(folder, other)
    if first is None or second is None:
        return None
    _, mine, others = np.intersect1d(first.places, second.places, return_indices=True)
    labels = first.labels[mine]
    if not np.array_equal(labels, second.labels[others]):
        raise DataError(
            f"{folder}: the scores of {one.method} and {other.method} on {one.target} are of "
            "different test images; remove both files and their records, and run them again"
        )
    return delong_paired(first.scores[mine], second.scores[others], labels)


def _by_class(summary: Summary) -> dict[str, dict[int, Record]]:
    found: dict[str, dict[int, Record]] = {}
    for record in summary.records:
        found.setdefault(record.target, {})[record.seed] = record
    return found


def _mean(records: Iterable[Record]) -> float:
    return fmean(map(_auroc, records))


def _auroc(record: Record) -> float:
    return record.metrics.image_auroc

"""Presentation-attack metrics, as ISO/IEC 30107-3 defines them, from raw scores.

An *attack presentation* is anomalous, a *bona fide* one is normal. A threshold flags every score at
or above it as an attack. The errors are counted apart:

- APCER of one kind of attack: the share of its presentations that are *not* flagged. The standard
  reports the kind that is worst; ``pooled`` takes all attacks as one kind, as most papers do.
- BPCER: the share of bona fide presentations that are flagged.
- ACER: the mean of the worst APCER and BPCER, at one threshold. The standard's second edition
  drops it; papers still compare by it.

Which threshold is half of the number. ``rates_at`` takes one that was fixed beforehand; EER and
"APCER at 5 % BPCER" are points of the curve, whose thresholds the test set itself gives, as with
AUROC: they compare methods, and promise nothing of a running system.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oddlens.errors import DataError, UsageError
from oddlens.evaluation.bootstrap import bootstrap
from oddlens.evaluation.intervals import CONFIDENCE, REPLICATES, Interval
from oddlens.evaluation.metrics import Floats, check_scores, threshold_steps

BPCER = 0.05
"""At which APCER is reported, as in the papers on WMCA and SiW-M."""


@dataclass(frozen=True)
class AttackRates:
    """The errors at one threshold, all in [0, 1].

    Attributes:
        bpcer: share of bona fide presentations that are flagged.
        by_kind: APCER of each kind of attack.
        pooled: APCER of all attacks as one kind.
    """

    bpcer: float
    by_kind: dict[str, float]
    pooled: float

    @property
    def apcer(self) -> float:
        """APCER of the kind that is worst."""
        return max(self.by_kind.values())

    @property
    def acer(self) -> float:
        """Mean of APCER and BPCER."""
        return (self.apcer + self.bpcer) / 2


def rates_at(
    scores: ArrayLike, labels: ArrayLike, kinds: Sequence[str], threshold: float
) -> AttackRates:
    """The errors at a threshold that is given.

    Args:
        scores: (N,) finite numbers, higher = more anomalous.
        labels: (N,) true = attack.
        kinds: (N,) the kind of each attack; what bona fide ones are called does not matter.
        threshold: flags scores at or above it; infinite ones flag all or nothing.

    Raises:
        DataError: see `oddlens.evaluation.metrics.check_scores`; or the kinds are not N.
        UsageError: the threshold is not a number.
    """
    values, truth, names = _checked(scores, labels, kinds)
    _check_threshold(threshold)
    passed = values < threshold
    return AttackRates(
        bpcer=float((~passed[~truth]).mean()),
        by_kind={
            str(kind): float(passed[truth & (names == kind)].mean())
            for kind in np.unique(names[truth])
        },
        pooled=float(passed[truth].mean()),
    )


def threshold_at_bpcer(scores: ArrayLike, labels: ArrayLike, bpcer: float = BPCER) -> float:
    """The lowest score that, as a threshold, flags at most ``bpcer`` of the bona fide.

    Infinite where every score flags more, so that nothing is flagged.

    Args:
        scores: (N,) finite numbers, higher = more anomalous.
        labels: (N,) true = attack.
        bpcer: in [0, 1).

    Raises:
        UsageError: ``bpcer`` is out of range.
        DataError: see `oddlens.evaluation.metrics.check_scores`.
    """
    _check_bpcer(bpcer)
    steps = threshold_steps(scores, labels)
    flagged = np.cumsum(steps.negatives)
    allowed = int((flagged / flagged[-1] <= bpcer).sum())
    return float(steps.values[allowed - 1]) if allowed else float("inf")


def rates_at_bpcer(
    scores: ArrayLike, labels: ArrayLike, kinds: Sequence[str], bpcer: float = BPCER
) -> AttackRates:
    """The errors at ``threshold_at_bpcer``: the lowest APCER for a BPCER of at most ``bpcer``.

    Steps are not interpolated: the rates are those of a real threshold, and BPCER may be lower
    than asked for. Arguments and errors as ``rates_at`` and ``threshold_at_bpcer``.
    """
    return rates_at(scores, labels, kinds, threshold_at_bpcer(scores, labels, bpcer))


def equal_error_rate(scores: ArrayLike, labels: ArrayLike) -> float:
    """The error at which as large a share of the normal is flagged as of the anomalous is missed.

    On the ROC curve with straight lines between its points (a tie is climbed linearly, as in
    AUROC), where FPR = 1 - TPR; there is one such point. All attacks are one kind. Not the convex
    hull, whose equal error rate is never larger: it promises the best of all mixtures of
    thresholds, chosen on the test set (our choice).

    Args:
        scores: (N,) finite numbers, higher = more anomalous.
        labels: (N,) true = anomalous.

    Returns:
        In [0, 1]; one half for scores that tell nothing.

    Raises:
        DataError: see `oddlens.evaluation.metrics.check_scores`.
    """
    steps = threshold_steps(scores, labels)
    return float(curve_eer(steps.positives, steps.negatives))


def curve_eer(positives: Floats, negatives: Floats) -> Floats:
    """Equal error rate of curves.

    Args:
        positives: (..., T) anomalous ones at each step, highest threshold first; some in each row.
        negatives: (..., T) normal ones, likewise.

    Returns:
        (...) float64 in [0, 1].
    """
    fpr, tpr = (_from_zero(np.cumsum(each, axis=-1)) for each in (negatives, positives))
    # Rises from -1, where nothing is flagged, to 1, where everything is.
    gap = fpr + tpr - 1
    after = np.argmax(gap >= 0, axis=-1)[..., None]
    low, high = (np.take_along_axis(gap, at, axis=-1) for at in (after - 1, after))
    left, right = (np.take_along_axis(fpr, at, axis=-1) for at in (after - 1, after))
    found: Floats = (left + (right - left) * low / (low - high))[..., 0]
    return found


def attack_intervals(
    scores: ArrayLike,
    labels: ArrayLike,
    kinds: Sequence[str],
    *,
    threshold: float,
    bpcer: float = BPCER,
    replicates: int = REPLICATES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> dict[str, Interval]:
    """Stratified percentile bootstrap over presentations: bona fide ones, and each kind apart.

    The given ``threshold`` stays as it is; that of "APCER at 5 % BPCER" is found anew in each
    replicate. See `oddlens.evaluation.bootstrap.bootstrap`.

    Args:
        scores: (N,) finite numbers, higher = more anomalous.
        labels: (N,) true = attack.
        kinds: (N,) the kind of each attack.
        threshold: as of ``rates_at``.
        bpcer: as of ``rates_at_bpcer``.
        replicates: number of resampled sets.
        seed: equal seeds give equal intervals.
        confidence: share of replicates inside, in (0, 1).

    Returns:
        Intervals under ``eer``, ``apcer_at_bpcer``, ``apcer_at_bpcer_pooled``, ``apcer_at_bpcer of
        <kind>`` for each kind, ``apcer``, ``bpcer`` and ``acer``, the last three at ``threshold``.

    Raises:
        DataError: as ``rates_at``.
        UsageError: an option is out of range.
    """
    values, truth, names = _checked(scores, labels, kinds)
    _check_threshold(threshold)
    _check_bpcer(bpcer)
    found = [str(kind) for kind in np.unique(names[truth])]
    groups = [values[~truth], *(values[truth & (names == kind)] for kind in found)]
    measure = partial(_rates, kinds=found, threshold=threshold, bpcer=bpcer)
    return bootstrap(groups, measure, replicates=replicates, seed=seed, confidence=confidence)


def _rates(
    groups: Sequence[Floats], kinds: Sequence[str], threshold: float, bpcer: float
) -> dict[str, float]:
    """The metrics of bona fide scores, which come first, and of those of each kind of attack."""
    bona_fide, *attacks = groups
    pooled = np.concatenate(attacks)
    labels = np.repeat([False, True], [len(bona_fide), len(pooled)])
    every = np.concatenate([bona_fide, pooled])
    limit = threshold_at_bpcer(every, labels, bpcer)
    passed = [float((kind < limit).mean()) for kind in attacks]
    apcer = max(float((kind < threshold).mean()) for kind in attacks)
    wrong = float((bona_fide >= threshold).mean())
    return {
        "eer": equal_error_rate(every, labels),
        "apcer_at_bpcer": max(passed),
        "apcer_at_bpcer_pooled": float((pooled < limit).mean()),
        "apcer": apcer,
        "bpcer": wrong,
        "acer": (apcer + wrong) / 2,
        **{f"apcer_at_bpcer of {kind}": x for kind, x in zip(kinds, passed, strict=True)},
    }


def _from_zero(counts: Floats) -> Floats:
    """Cumulated counts as shares of the last, with the share of nothing before them."""
    shares: Floats = counts / counts[..., -1:]
    return np.concatenate([np.zeros_like(shares[..., :1]), shares], axis=-1)


def _checked(
    scores: ArrayLike, labels: ArrayLike, kinds: Sequence[str]
) -> tuple[Floats, NDArray[np.bool_], NDArray[np.str_]]:
    values, truth = check_scores(scores, labels)
    if len(kinds) != len(values):
        raise DataError(f"there are {len(values)} scores, but {len(kinds)} kinds: give one each")
    return values, truth, np.array(list(kinds), dtype=np.str_)


def _check_threshold(threshold: float) -> None:
    if np.isnan(threshold):
        raise UsageError("threshold is not a number: give one, or infinity")


def _check_bpcer(bpcer: float) -> None:
    if not 0 <= bpcer < 1:
        raise UsageError(f"bpcer is {bpcer}, but must be from 0 to below 1.")

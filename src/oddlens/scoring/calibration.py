"""Calibration: from raw scores to p-values and thresholds with a finite-sample guarantee.

Split-conformal anomaly detection: Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random World"
(2005), ch. 2; Laxhammar, Falkman (2010); Bates, Candes, Lei, Romano, Sesia, "Testing for outliers
with conformal p-values" (Annals of Statistics 51, 2023), eq. (2).

**The guarantee.** Let the n held-out normal images and a new normal image be *exchangeable* (drawn
the same way, so that any order of the n + 1 is equally likely), and the score function fixed before
it sees any of them. Then the rank of the new image among the n + 1 is uniform, and for every k

    P(p_value <= k / (n + 1)) <= k / (n + 1),

with equality when no two scores tie. So flagging ``p_value <= k / (n + 1)`` raises false alarms at
a rate of at most k / (n + 1), for every n and every distribution of scores. Ties count against the
alarm: a new score equal to a held-out one is not more anomalous than it.

What it does not say: the probability is over the draw of the held-out images *and* the new one.
With this one calibration, the rate on all future normals is random around the guaranteed one (for
scores without ties, Beta(k, n + 1 - k)); more held-out normals narrow it. And normal images that
are drawn in another way (another camera, another day) are not exchangeable.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from oddlens.errors import ArtifactError, DataError, UsageError
from oddlens.scoring._arrays import FloatArray, as_scores

_Scores = Annotated[list[FiniteFloat], Field(min_length=1)]


class _CalibrationJson(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    scores: _Scores
    map_peaks: _Scores | None


@dataclass(frozen=True)
class Threshold:
    """Where the alarm starts: a score above ``value`` is flagged, one equal to it is not.

    Attributes:
        value: the cut, one of the held-out scores.
        wanted: the false-alarm rate that was asked for, in (0, 1).
        guaranteed: the false-alarm rate that holds for a new normal image (see the module's text):
            at most ``wanted``, or ``1 / (count + 1)`` where no lower rate can be guaranteed.
        count: how many held-out normal images it rests on.
    """

    value: float
    wanted: float
    guaranteed: float
    count: int

    def flags(self, scores: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Which scores, or which pixels of a map, are above the threshold.

        Args:
            scores: any shape, float.

        Returns:
            bool, the same shape.
        """
        return np.asarray(scores, dtype=np.float64) > self.value

    @property
    def message(self) -> str | None:
        """One sentence when the hold-out is too small for the wanted rate, else None."""
        if self.guaranteed <= self.wanted:
            return None
        are = "is" if self.count == 1 else "are"
        return (
            f"a false-alarm rate of {self.wanted:g} needs {_needed(self.wanted):,} held-out normal "
            f"images and there {are} {self.count:,}: the rate guaranteed "
            f"instead is 1 in {self.count + 1:,} ({_rounded_up(Fraction(1, self.count + 1))})"
        )


@dataclass(frozen=True, eq=False)
class Calibration:
    """The scores of held-out normal images.

    Args:
        scores: (n,) finite, in any order, n >= 1.
        map_peaks: (n,) finite, the largest pixel of each held-out image's map as it is stored
            (float32, smoothed), or None where the method does not localize.

    Attributes:
        scores: (n,) float64, ascending, read-only.
        map_peaks: (n,) float64, ascending, read-only, or None.

    Raises:
        DataError: no score, or one that is not finite.
        UsageError: not (n,) numbers.
    """

    scores: FloatArray
    map_peaks: FloatArray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", _ranked(self.scores, "held-out normal images"))
        if self.map_peaks is not None:
            peaks = _ranked(self.map_peaks, "maps of the held-out normal images")
            object.__setattr__(self, "map_peaks", peaks)

    def p_values(self, scores: npt.ArrayLike) -> FloatArray:
        """How extreme each score is among the held-out normals.

        Args:
            scores: (N,) raw scores.

        Returns:
            (N,) float64: ``(1 + #{held-out >= score}) / (n + 1)``, in [1 / (n + 1), 1]; falls, in
            steps, as the score rises.

        Raises:
            DataError: a score is not finite.
        """
        asked = as_scores(scores, "scores")
        above = self.scores.size - np.searchsorted(self.scores, asked, side="left")
        return np.asarray((1 + above) / (self.scores.size + 1), dtype=np.float64)

    def threshold(self, rate: float) -> Threshold:
        """The image threshold for a wanted false-alarm rate.

        Args:
            rate: in (0, 1): of the normal images, the share that may be flagged.

        Returns:
            The threshold. ``guaranteed`` is ``floor(rate (n + 1)) / (n + 1)``; where that is 0, it
            is ``1 / (n + 1)`` and ``message`` says so. For every image, ``score > value`` holds if
            and only if ``p_value <= guaranteed``, in floating point too.

        Raises:
            UsageError: ``rate`` is not in (0, 1).
        """
        return _threshold(self.scores, rate)

    def pixel_threshold(self, rate: float) -> Threshold:
        """The pixel threshold for a wanted false-alarm rate *per image*.

        A normal image has any pixel above it with probability of at most ``guaranteed``: it is the
        ``threshold`` of the maps' peaks, so it stays valid for every dependence between pixels.

        Args:
            rate: in (0, 1): of the normal images, the share that may show a pixel above it.

        Returns:
            The threshold, in the unit of the maps.

        Raises:
            UsageError: ``rate`` is not in (0, 1), or the calibration has no map peaks.
        """
        if self.map_peaks is None:
            raise UsageError("there is no pixel threshold: this method gives no maps")
        return _threshold(self.map_peaks, rate)

    def to_json(self) -> dict[str, Any]:
        """A dict that JSON can hold; floats survive exactly, since JSON writes their ``repr``."""
        peaks = None if self.map_peaks is None else self.map_peaks.tolist()
        return {"scores": self.scores.tolist(), "map_peaks": peaks}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Calibration:
        """The inverse of ``to_json``.

        Raises:
            ArtifactError: ``data`` is not what ``to_json`` writes.
        """
        try:
            saved = _CalibrationJson.model_validate(data)
        except ValidationError as error:
            raise ArtifactError(f"the saved calibration is damaged: {error}") from error
        peaks = None if saved.map_peaks is None else np.array(saved.map_peaks)
        return cls(np.array(saved.scores), peaks)


def _ranked(values: npt.ArrayLike, what: str) -> FloatArray:
    # Stable: 0.0 and -0.0 are equal, and would change places from one reading to the next.
    array = np.sort(as_scores(values, what), kind="stable")
    if not array.size:
        raise DataError("there is no held-out normal image to calibrate with: give more images")
    array.setflags(write=False)
    return array


def _threshold(ranked: FloatArray, rate: float) -> Threshold:
    wanted = float(rate)
    if not 0 < wanted < 1:
        raise UsageError(f"a false-alarm rate of {rate} is out of range: give one between 0 and 1")
    count = ranked.size
    # p_value <= k / (n + 1)  <=>  #{held-out >= score} < k  <=>  score > the k-th largest. Two
    # p-values differ by 1 / (n + 1) at least, far above rounding, so this holds for floats as well.
    k = max(1, _alarms(wanted, count + 1))
    return Threshold(float(ranked[count - k]), wanted, k / (count + 1), count)


def _alarms(rate: float, total: int) -> int:
    """The largest k with ``k / total <= rate``, compared as the floats that users see.

    ``floor(rate * total)`` alone is off by one where the product rounds: 0.29 * 100 gives
    28.999999999999996, although 29 / 100 is 0.29.
    """
    k = math.floor(rate * total)
    return k + 1 if (k + 1) / total <= rate else k


def _needed(rate: float) -> int:
    """The smallest n with ``1 / (n + 1) <= rate``: ``ceil(1 / rate) - 1``, up to rounding."""
    total = math.ceil(1 / Fraction(rate))
    return total - 2 if 1 / (total - 1) <= rate else total - 1


def _rounded_up(share: Fraction) -> str:
    """Three digits, never below the share, so that asking for it as a rate works."""
    digits = 2 - math.floor(math.log10(share))
    return f"{math.ceil(share * 10**digits) / 10**digits:.3g}"

"""Standardisation: cues of different units made comparable, by held-out normal images."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
    model_validator,
)

from oddlens.errors import ArtifactError, DataError, UsageError
from oddlens.scoring._arrays import FloatArray, as_scores
from oddlens.scoring.fusion import Fusion, fuse


class _CueJson(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    mean: FiniteFloat
    std: Annotated[FiniteFloat, Field(gt=0)]


class _VoteJson(_CueJson):
    cue: str
    weight: Annotated[FiniteFloat, Field(ge=0, le=1)]


class _StandardiserJson(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    cues: Annotated[dict[str, _CueJson], Field(min_length=1)]
    reference: dict[str, list[FiniteFloat]] = Field(default_factory=dict)
    vote: _VoteJson | None = None

    @model_validator(mode="after")
    def _vote_among_others(self) -> Self:
        if self.vote is not None and not {self.vote.cue} < self.cues.keys():
            raise ValueError(f"cue {self.vote.cue!r} has a vote, but is not one of several cues")
        return self


@dataclass(frozen=True)
class Vote:
    """The say of one cue beside all others, which are fused into one before.

    Attributes:
        cue: its name.
        weight: its share of the score, 0 to 1; the others have the rest together.
        mean: of the others' fused score, over held-out normals.
        std: its standard deviation, above 0.
    """

    cue: str
    weight: float
    mean: float
    std: float

    def __call__(self, own: FloatArray, others: FloatArray) -> FloatArray:
        """The score, of the standardised cue and the others' fused score, ``(N,)`` each."""
        if self.weight == 1:
            return own
        return self.weight * own + (1 - self.weight) * ((others - self.mean) / self.std)


@dataclass(frozen=True)
class Standardiser:
    """Turn each cue into ``(cue - mean) / std`` with the statistics of held-out normals.

    Mean and standard deviation rather than ranks: beyond the largest held-out value a rank says
    nothing more, while anomalies are exactly there (our choice; the methods' papers that fuse
    several cues either do the same or bring their own rule).

    Fit it on normals that are *not* those of the calibration (the ``tune`` part of the hold-out):
    with several cues the guarantee of ``Calibration`` needs a score function that is fixed before
    it sees the calibration images.

    Attributes:
        mean: for each cue, the mean.
        std: for each cue, the standard deviation, always above 0.
        reference: for each cue, the sorted standardised values of the held-out normals, for the
            fusions that rank; empty where none was asked for.
        vote: of a cue whose share of the score is its own; None where all cues are fused alike.
    """

    mean: dict[str, float]
    std: dict[str, float]
    reference: dict[str, tuple[float, ...]] = field(default_factory=dict)
    vote: Vote | None = None

    @classmethod
    def fit(cls, scores: Mapping[str, npt.ArrayLike]) -> Standardiser:
        """Measure the cues of held-out normal images.

        Args:
            scores: for each cue, (n,) raw values, n >= 1. The standard deviation is the
                population's (divided by n), so that one image is enough.

        Returns:
            The standardiser. A cue that is the same for all images, up to rounding, gets a standard
            deviation of 1 and a ``UserWarning`` that names it.

        Raises:
            UsageError: no cue, or values that are not (n,) numbers.
            DataError: no image, or a value that is not finite or too large to be squared.
        """
        if not scores:
            raise UsageError("there is no cue to standardise")
        mean: dict[str, float] = {}
        std: dict[str, float] = {}
        for name, values in scores.items():
            mean[name], std[name] = _mean_and_std(as_scores(values, f"cue {name!r}"), name)
        return cls(mean, std)

    @classmethod
    def unit(cls, names: Iterable[str]) -> Standardiser:
        """Leave every cue as it is, for methods whose paper fuses raw cues."""
        named = list(names)
        return cls(dict.fromkeys(named, 0.0), dict.fromkeys(named, 1.0))

    def with_reference(self, scores: Mapping[str, npt.ArrayLike]) -> Standardiser:
        """The same, keeping the raw ``scores`` of held-out normals, (n,) for each cue, to rank."""
        standardised = self(scores)
        return replace(
            self, reference={name: tuple(np.sort(each)) for name, each in standardised.items()}
        )

    def with_vote(
        self, cue: str, weight: float, scores: Mapping[str, npt.ArrayLike], how: Fusion
    ) -> Standardiser:
        """The same, but that one cue has its own share of the score.

        The others are fused into one, which is standardised like a cue, on the same images.

        Args:
            cue: whose share it is; there must be others.
            weight: its share, 0 to 1.
            scores: for each cue, (n,) raw values of held-out normals.
            how: the fusion of the others.
        """
        others = {name: each for name, each in self(scores).items() if name != cue}
        mean, std = _mean_and_std(fuse(others, how, self.reference), f"all but {cue}")
        return replace(self, vote=Vote(cue, weight, mean, std))

    def fused(self, scores: Mapping[str, npt.ArrayLike], how: Fusion) -> FloatArray:
        """From raw cues to the score: standardised and fused, see ``fuse`` and ``Vote``.

        Args:
            scores: for each cue that was fitted, (N,) raw values.
            how: the fusion; where there is a vote, of all other cues.

        Returns:
            (N,) float64, higher = more anomalous.
        """
        values = self(scores)
        if self.vote is None:
            return fuse(values, how, self.reference)
        own = values.pop(self.vote.cue)
        return as_scores(self.vote(own, fuse(values, how, self.reference)), "the score")

    def mean_map(self, maps: Mapping[str, npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        """The mean of the cues' maps, each standardised as its pixels were.

        Args:
            maps: for each cue that was fitted, ``(N, H, W)`` float32; at least one.
        """
        standardised = [
            (each - np.float32(self.mean[name])) / np.float32(self.std[name])
            for name, each in maps.items()
        ]
        return np.asarray(np.mean(standardised, axis=0, dtype=np.float32), np.float32)

    def __call__(self, scores: Mapping[str, npt.ArrayLike]) -> dict[str, FloatArray]:
        """Standardise the cues of N images.

        Args:
            scores: for each cue that was fitted, (N,) raw values.

        Returns:
            For each cue, (N,) float64 in units of the held-out normals' standard deviation. Never
            reverses two images; two that differ by less than the rounding of ``cue - mean`` tie.

        Raises:
            UsageError: cues other than those that were fitted.
            DataError: a value is not finite.
        """
        if scores.keys() != self.mean.keys():
            raise UsageError(
                f"cues {sorted(scores)} were given where {sorted(self.mean)} were standardised"
            )
        return {
            name: (as_scores(values, f"cue {name!r}") - self.mean[name]) / self.std[name]
            for name, values in scores.items()
        }

    def to_json(self) -> dict[str, Any]:
        """A dict that JSON can hold; floats survive exactly, since JSON writes their ``repr``."""
        cues = {name: {"mean": self.mean[name], "std": self.std[name]} for name in self.mean}
        kept = {name: [float(value) for value in each] for name, each in self.reference.items()}
        found: dict[str, Any] = {"cues": cues, "reference": kept} if kept else {"cues": cues}
        return found if self.vote is None else {**found, "vote": asdict(self.vote)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Standardiser:
        """The inverse of ``to_json``.

        Raises:
            ArtifactError: ``data`` is not what ``to_json`` writes.
        """
        try:
            read = _StandardiserJson.model_validate(data)
        except ValidationError as error:
            raise ArtifactError(f"the saved standardisation is damaged: {error}") from error
        return cls(
            {name: cue.mean for name, cue in read.cues.items()},
            {name: cue.std for name, cue in read.cues.items()},
            {name: tuple(values) for name, values in read.reference.items()},
            None if read.vote is None else Vote(**read.vote.model_dump()),
        )


def _mean_and_std(values: FloatArray, name: str) -> tuple[float, float]:
    if not values.size:
        raise DataError(f"cue {name!r}: there is no held-out normal image to standardise it with")
    with np.errstate(over="ignore"):
        mean, std = float(values.mean()), float(values.std())
    if not np.isfinite([mean, std]).all():
        raise DataError(f"cue {name!r}: values up to {np.abs(values).max():g} are too large")
    # Rounding gives equal values a tiny std instead of 0 (np.std([0.1] * 3) is 1e-17), and dividing
    # by it would blow up noise. The error of the mean is at most n eps |mean|.
    rounding = values.size * float(np.finfo(np.float64).eps) * abs(mean)
    if std <= rounding:
        warnings.warn(
            f"cue {name!r} is {mean:g} for all {values.size} held-out normal images; "
            "it is only shifted, not scaled",
            UserWarning,
            stacklevel=3,
        )
        return mean, 1.0
    return mean, std

"""Cues: the raw evidence of one batch of images, before standardisation and fusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from oddlens.errors import UsageError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Cues:
    """What each pretext task, scale or memory says about N images; higher = more anomalous.

    Attributes:
        scores: for each cue, (N,) float64, raw: any range, never clamped.
        maps: for the cues that localize, (N, H, W) float32; its keys are among those of ``scores``.

    Raises:
        UsageError: no cue at all, a wrong shape or dtype, different N, a map without its score.
            (These are mistakes of a detector's ``cues()``, so the message names the cue.)
    """

    scores: dict[str, Tensor]
    maps: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        import torch  # only here: what scores without torch has no cues of this kind

        if not self.scores:
            raise UsageError("a detector must give at least one cue")
        # Not len(self): while a graph is exported, the number of images is no plain number.
        first = next(iter(self.scores.values()))
        count = first.shape[0] if first.ndim else 0
        for name, scores in self.scores.items():
            _check(f"cue {name!r}", scores, torch.float64, ("N",), count)
        for name, maps in self.maps.items():
            if name not in self.scores:
                raise UsageError(f"map of cue {name!r}: there is no score of that name")
            _check(f"map of cue {name!r}", maps, torch.float32, ("N", "H", "W"), count)

    def __len__(self) -> int:
        """The number of images, N."""
        first = next(iter(self.scores.values()))
        return first.shape[0] if first.ndim else 0

    @staticmethod
    def concatenate(parts: Sequence[Cues]) -> Cues:
        """Join the cues of successive batches into one.

        Args:
            parts: at least one, all with the same cues, the same maps and the same map sizes.

        Returns:
            The images of all parts in order, N = the sum of their N.

        Raises:
            UsageError: no part, or parts that do not fit together.
        """
        import torch

        if not parts:
            raise UsageError("there are no cues to concatenate")
        first = parts[0]
        for part in parts[1:]:
            if part.scores.keys() != first.scores.keys() or part.maps.keys() != first.maps.keys():
                raise UsageError(
                    f"batches with different cues cannot be joined: {_names(first)} and "
                    f"{_names(part)}"
                )
            for name, maps in part.maps.items():
                if maps.shape[1:] != first.maps[name].shape[1:]:
                    raise UsageError(
                        f"map of cue {name!r}: sizes {tuple(first.maps[name].shape[1:])} and "
                        f"{tuple(maps.shape[1:])} cannot be joined"
                    )
        return Cues(
            {name: torch.cat([part.scores[name] for part in parts]) for name in first.scores},
            {name: torch.cat([part.maps[name] for part in parts]) for name in first.maps},
        )


def _check(
    what: str, tensor: Tensor, dtype: torch.dtype, axes: tuple[str, ...], count: int
) -> None:
    if tensor.dtype != dtype or tensor.ndim != len(axes):
        raise UsageError(
            f"{what}: expected {dtype} of shape ({', '.join(axes)}), "
            f"got {tensor.dtype} of shape {tuple(tensor.shape)}"
        )
    if tensor.shape[0] != count:
        raise UsageError(f"{what}: {tensor.shape[0]} images where the first cue has {count}")


def _names(cues: Cues) -> str:
    return f"scores {sorted(cues.scores)} with maps {sorted(cues.maps)}"

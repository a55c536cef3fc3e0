"""Standardisation, fusion and calibration as tensor operations, for a graph.

The same formulas as ``oddlens.scoring``, in float64, from operations that ONNX has. ONNX sorts, but
neither searches nor inverts the normal distribution: places are found by counting, and quantiles
are computed by the published approximation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from oddlens.export.quantile import normal_quantile
from oddlens.scoring import Calibration, Fusion, Standardiser
from oddlens.scoring.fusion import RANKED


def _constant(values: object) -> Tensor:
    return torch.tensor(np.asarray(values, dtype=np.float64))


class PValue(nn.Module):
    """``Calibration.p_values``: ``(1 + #{held-out >= score}) / (n + 1)``.

    Args:
        calibration: of the detector.
    """

    held_out: Tensor
    total: Tensor

    def __init__(self, calibration: Calibration) -> None:
        super().__init__()
        self.register_buffer("held_out", _constant(calibration.scores))
        self.register_buffer("total", _constant(calibration.scores.size + 1))

    def forward(self, scores: Tensor) -> Tensor:
        """``(N,)`` float64 to ``(N,)`` float64."""
        above = (self.held_out[None] >= scores[:, None]).sum(dim=1)
        p_values: Tensor = (above.double() + 1) / self.total
        return p_values


class Tails(nn.Module):
    """``scoring.tails.log_tails`` against one cue's held-out values.

    Args:
        reference: ``(n,)``, standardised.
    """

    known: Tensor
    odds: Tensor
    ends: Tensor

    def __init__(self, reference: Sequence[float]) -> None:
        super().__init__()
        known, counts = np.unique(np.asarray(reference, dtype=np.float64), return_counts=True)
        total = counts.sum()
        below = np.cumsum(counts) - counts / 2
        share = (total - below + 0.5) / (total + 1)
        every = np.repeat(known, counts)
        away = every - np.median(every)
        spread = [half.mean() if half.size else 1.0 for half in (away[away > 0], -away[away < 0])]
        odds = np.log(share) - np.log1p(-share)
        if len(known) == 1:  # two equal ends, so that there is something to interpolate between
            known, odds = np.repeat(known, 2), np.repeat(odds, 2)
        self.register_buffer("known", _constant(known))
        self.register_buffer("odds", _constant(odds))
        self.register_buffer("ends", _constant([known[0], known[-1], spread[0], spread[1]]))

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Log p and log (1 - p) of ``(N,)`` float64."""
        lowest, highest, upper, lower = self.ends.unbind()
        inside = self._interpolated(torch.minimum(torch.maximum(values, lowest), highest))
        log_p = -_softplus(-inside) - (values - highest).clamp(min=0) / upper
        log_q = -_softplus(inside) - (lowest - values).clamp(min=0) / lower
        log_q = torch.where(values > highest, _log1mexp(log_p), log_q)
        log_p = torch.where(values < lowest, _log1mexp(log_q), log_p)
        return log_p, log_q

    def _interpolated(self, values: Tensor) -> Tensor:
        place = (values[:, None] >= self.known[None]).sum(dim=1) - 1
        place = place.clamp(0, len(self.known) - 2)
        start, end = self.known[place], self.known[place + 1]
        first, last = self.odds[place], self.odds[place + 1]
        width = torch.where(end > start, end - start, torch.ones_like(start))
        return first + (last - first) / width * (values - start)


def _log1p(x: Tensor) -> Tensor:
    """ONNX has none: a series where ``1 + x`` would round."""
    near = x * (1 - x * (0.5 - x / 3))
    return torch.where(x.abs() < 1e-5, near, (1 + x).log())


def _softplus(x: Tensor) -> Tensor:
    """``logaddexp(0, x)``."""
    return x.clamp(min=0) + _log1p((-x.abs()).exp())


def _log1mexp(x: Tensor) -> Tensor:
    """``log(1 - exp(x))`` for x < 0."""
    safe = x.clamp(max=-1e-300)
    near = -safe * (1 + safe * (0.5 + safe / 6))  # 1 - exp(x)
    missing = torch.where(safe > -1e-5, near, 1 - safe.exp())
    return torch.where(safe > -math.log(2), missing.log(), _log1p(-safe.exp()))


class Scales(nn.Module):
    """From raw cues and maps to one score and one map: ``Detector.fused``.

    Args:
        standardiser: of the cues, with a reference where the fusion ranks.
        fusion: how cues become the score.
        maps: the standardiser of the maps, or None.
    """

    means: Tensor
    stds: Tensor

    def __init__(
        self, standardiser: Standardiser, fusion: Fusion, maps: Standardiser | None
    ) -> None:
        super().__init__()
        self.fusion, self.vote = fusion, standardiser.vote
        self.names = sorted(standardiser.mean)  # as `fuse` adds them up
        for what, by_name in (("means", standardiser.mean), ("stds", standardiser.std)):
            self.register_buffer(what, _constant([by_name[name] for name in self.names]))
        self.tails = nn.ModuleList()
        if standardiser.reference:  # an ensemble ranks its members, whatever fuses them
            self.tails.extend(Tails(standardiser.reference[name]) for name in self.names)
        self.maps = maps

    def standardised(self, scores: dict[str, Tensor]) -> list[Tensor]:
        """The cues in the order of ``names``."""
        return [
            (scores[name] - self.means[at]) / self.stds[at] for at, name in enumerate(self.names)
        ]

    def surprises(self, scores: dict[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
        """Log p and log (1 - p) by cue."""
        values = zip(self.names, self.tails, self.standardised(scores), strict=True)
        return {name: tails(each) for name, tails, each in values}

    def fused(self, scores: dict[str, Tensor]) -> Tensor:
        """``Standardiser.fused``: ``(N,)`` float64 of the raw cues."""
        vote = self.vote
        if vote is None:
            return self._fused(scores, self.names)
        own = self.standardised(scores)[self.names.index(vote.cue)]
        if vote.weight == 1:
            return own
        others = self._fused(scores, [name for name in self.names if name != vote.cue])
        return vote.weight * own + (1 - vote.weight) * ((others - vote.mean) / vote.std)

    def _fused(self, scores: dict[str, Tensor], names: list[str]) -> Tensor:
        """``fuse`` of those cues, standardised."""
        if self.fusion in RANKED:
            surprises = self.surprises(scores)
            return _combined([surprises[name] for name in names], self.fusion)
        every = dict(zip(self.names, self.standardised(scores), strict=True))
        values = torch.stack([every[name] for name in names])
        match self.fusion:
            case "mean":
                return values.sum(dim=0) / len(names)
            case "max":
                return values.amax(dim=0)
            case "min":
                return values.amin(dim=0)
            case _:
                ranked, middle = values.sort(dim=0).values, len(names) // 2
                upper = ranked[middle]
                return upper if len(names) % 2 else (ranked[middle - 1] + upper) / 2

    def fused_map(self, maps: dict[str, Tensor]) -> Tensor | None:
        """The mean of the standardised maps, ``(N, H, W)`` float32."""
        if not maps or self.maps is None:
            return None
        mean, std = self.maps.mean, self.maps.std
        standardised = [(each - mean[name]) / std[name] for name, each in maps.items()]
        return torch.stack(standardised).mean(dim=0)


def _combined(tails: list[tuple[Tensor, Tensor]], how: str) -> Tensor:
    count = len(tails)
    if how == "stouffer":
        above, below = (torch.stack(each) for each in zip(*tails, strict=True))
        # From the smaller tail: the other one is 0 to rounding.
        quantile = normal_quantile(torch.minimum(above, below))
        parts = torch.where(above < below, -quantile, quantile)
        total: Tensor = parts.sum(dim=0) / count * math.sqrt(count)
        return total
    surprise = torch.stack([-p for p, _ in tails])
    if how == "min_p":
        return surprise.amax(dim=0)
    mean = surprise.sum(dim=0) / count
    return mean * (2 * count) if how == "fisher" else mean

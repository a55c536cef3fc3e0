"""A fitted detector as one module from 8-bit pixels to its answers, for a graph to be drawn from.

The one way through of ``Detector.predict``, all in tensors: pixels, cues, standardised, fused,
calibrated.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oddlens.detector import Detector
from oddlens.ensemble import Ensemble
from oddlens.errors import UsageError
from oddlens.export.scales import PValue, Scales
from oddlens.export.still import still
from oddlens.scoring import Calibration

Views = dict[int, Tensor]
"""By size S, images ``(N, 3, S, S)`` in [0, 1]."""


class Answer(NamedTuple):
    """What a detector says of N images.

    Attributes:
        score: ``(N,)`` float64.
        cues: by name, ``(N,)`` float64.
        map: ``(N, H, W)`` float32, or None.
    """

    score: Tensor
    cues: dict[str, Tensor]
    map: Tensor | None


class Look(nn.Module):
    """One method: ``Detector.scored``.

    Args:
        detector: fitted.
    """

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.size = detector.config.image_size
        self.detector = still(detector)
        self.scales = _scales(detector)

    def forward(self, views: Views) -> Answer:
        """Images at the detector's size, among others."""
        found = self.detector.cues(views[self.size])
        scores = {name: each.double() for name, each in found.scores.items()}
        maps = {name: each.float() for name, each in found.maps.items()}
        return Answer(self.scales.fused(scores), scores, self.scales.fused_map(maps))


class JointLook(nn.Module):
    """An ensemble: ``Ensemble.scored``.

    Args:
        ensemble: fitted.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        super().__init__()
        members = ensemble.named_members
        self.names = list(members)
        self.members = nn.ModuleList(Look(member) for member in members.values())
        self.scales = _scales(ensemble)

    def forward(self, views: Views) -> Answer:
        """Images at the sizes of all members."""
        answers = {
            name: member(views) for name, member in zip(self.names, self.members, strict=True)
        }
        scores = {name: answer.score for name, answer in answers.items()}
        maps = {name: answer.map for name, answer in answers.items() if answer.map is not None}
        side = max((each.shape[-1] for each in maps.values()), default=0)
        surprises = self.scales.surprises(scores)
        return Answer(
            self.scales.fused(scores),
            {name: -surprises[name][0] / math.log(10) for name in scores},
            self.scales.fused_map({name: _enlarged(each, side) for name, each in maps.items()}),
        )


def _enlarged(maps: Tensor, side: int) -> Tensor:
    if maps.shape[-1] == side:
        return maps
    return F.interpolate(maps[:, None], (side, side), mode="bilinear", align_corners=False)[:, 0]


def _scales(detector: Detector) -> Scales:
    assert detector.standardiser is not None
    return Scales(detector.standardiser, detector.config.fusion, detector.map_standardiser)


class Graph(nn.Module):
    """The whole of it.

    Args:
        detector: fitted.

    Attributes:
        sizes: S of each input, ascending.

    Raises:
        UsageError: the detector is not fitted.
    """

    sizes: list[int]
    look: nn.Module

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        calibration = detector.calibration
        if calibration is None:
            raise UsageError(
                f"this {type(detector).__name__} is not fitted, so there is nothing to export: "
                "call fit(images) first, or oddlens.load a saved one"
            )
        self.calibration: Calibration = calibration
        if isinstance(detector, Ensemble):
            self.sizes, self.look = detector.sizes, JointLook(detector)
        else:
            self.sizes, self.look = [detector.config.image_size], Look(detector)
        self.p_value = PValue(calibration)

    def forward(self, *pixels: Tensor) -> tuple[Tensor, ...]:
        """Answer.

        Args:
            pixels: for each of ``sizes``, uint8 ``(N, S, S, 3)``.

        Returns:
            Score ``(N,)`` and p-value ``(N,)``, cues ``(N, C)``, all float64; and where the method
            localizes a map ``(N, H, W)`` float32.
        """
        views = {
            size: each.permute(0, 3, 1, 2).to(torch.float32) / 255
            for size, each in zip(self.sizes, pixels, strict=True)
        }
        answer: Answer = self.look(views)
        cues = torch.stack(list(answer.cues.values()), dim=1)
        found = (answer.score, self.p_value(answer.score), cues)
        return found if answer.map is None else (*found, answer.map)

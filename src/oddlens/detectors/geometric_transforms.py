"""GeometricTransforms: the reference line, recognising compositions of geometric transforms.

``variant="mhrot"``: Hendrycks, Mazeika, Kadavath, Song, NeurIPS 2019: 36 compositions of two shifts
and a rotation, a head for each of the three. ``variant="geotrans"``: Golan and El-Yaniv, NeurIPS
2018: 72 compositions with mirroring, one head for all. Here to test MultiTask's claims against, in
the same code and with the same network.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Generator, Tensor

from oddlens.detectors.recognition import Recognition
from oddlens.detectors.recognition_options import GeometricOptions
from oddlens.options import DetectorOptions
from oddlens.pretext.geometric import Move, composed, compositions

_SHIFTS = (0, -1, 1)


class GeometricTransforms(Recognition):
    """Which composition of shifts, turns (and mirroring) was it?

    Args:
        options: see ``GeometricOptions``; every option is a keyword.
    """

    method: ClassVar[str] = "geometric"
    Options: ClassVar[type[DetectorOptions]] = GeometricOptions
    config: GeometricOptions

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        heads = {"vertical": 3, "horizontal": 3, "rotation": 4}
        if self.config.variant == "geotrans":
            heads = {"composition": len(self.moves())}
        self.build(heads, self.config)

    def moves(self) -> list[Move]:
        """The compositions, the untouched image first."""
        return compositions(flips=self.config.variant == "geotrans")

    def loss(self, images: Tensor, generator: Generator) -> dict[str, Tensor]:
        """Mean cross-entropy of each head over all compositions, summed over the heads.

        The mean and not, as in ``MultiTask``, the sum: so it is in the code of both ancestors.
        """
        terms = super().loss(images, generator)
        return {name: term / self.classes[name] for name, term in terms.items()}

    def seen(self, images: Tensor, generator: Generator | None) -> dict[str, Tensor]:
        """The features of each head's transforms, ``(T, M, F)``.

        GeoTrans has one head, and M = N. MHRot asks each of its heads about every composition:
        class j of a head with T classes is met in 36 / T of them, so that M = N * 36 / T.
        """
        moves = self.moves()
        made = composed(images, moves, self.config.pixels)
        pooled = self.network.pooled(made.flatten(0, 1)).view(len(moves), images.shape[0], -1)
        if self.config.variant == "geotrans":
            return {"composition": pooled}
        parts = {
            "vertical": [_SHIFTS.index(move.down) for move in moves],
            "horizontal": [_SHIFTS.index(move.right) for move in moves],
            "rotation": [move.quarters for move in moves],
        }
        return {
            name: torch.stack(
                [
                    pooled[[i for i, label in enumerate(labels) if label == j]].flatten(0, 1)
                    for j in range(max(labels) + 1)
                ]
            )
            for name, labels in parts.items()
        }

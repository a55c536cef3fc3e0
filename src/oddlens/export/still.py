"""Detectors made still: what they decide by their buffers is decided before a graph is drawn.

A graph is drawn with the weights as symbols. Where Python asks a buffer a question (are there
colours? which permutations?), the answer must be a plain value by then. And a loop that leaves
early must become one that does not.
"""

from __future__ import annotations

import torch
from torch import Tensor

from oddlens.detector import Detector
from oddlens.detectors.ssm import SSM
from oddlens.pretext.refinement import Refined
from oddlens.pretext.refinement_at_once import refine_at_once
from oddlens.pretext.restoration import Reference, texture_gain

_ASKED = ("has_colour", "has_head", "permutations")
"""Buffers that Python code asks, of any method."""


class StillSSM(SSM):
    """An SSM in which all images go through the same rounds, all at once."""

    _stack = None

    def prepare_still(self) -> None:
        """Take the thresholds and the first masks out of reach of the graph."""
        limits = self.thresholds.tolist()
        cells = self.config.scoring_cells
        self._limits = {cell: (row[0], row[1]) for cell, row in zip(cells, limits, strict=True)}
        self._boards = {cell: self._first_masks(cell, torch.device("cpu")) for cell in cells}

    def refine(self, images: Tensor) -> dict[int, Refined]:
        """See ``SSM.refine``."""
        return refine_at_once(
            self.restore,
            self.judge,
            self._reference(images),
            self._boards,
            self._limits,
            rounds=self.config.rounds,
        )

    def _reference(self, images: Tensor) -> Reference:
        sigma = self.config.equalise * self.config.image_size / 128
        reference = Reference.of(images)
        if sigma <= 0:
            return reference
        gain = texture_gain(images, sigma, median=_sorted_median)
        return Reference(images, reference.pyramid, gain)


def _sorted_median(values: Tensor) -> Tensor:
    """The lower median of each row; ONNX has no other way to it."""
    return values.sort(dim=1).values[:, (values.shape[1] - 1) // 2]


def still(detector: Detector) -> Detector:
    """A copy on the CPU, in evaluation mode, from which a graph can be drawn; it can but score.

    Args:
        detector: fitted, and no ensemble.
    """
    options = detector.config.model_dump(mode="json")
    copy: Detector = (StillSSM if isinstance(detector, SSM) else type(detector))(**options)
    copy.load_state_dict(detector.state_dict())
    copy.eval().requires_grad_(requires_grad=False)
    if isinstance(copy, StillSSM):
        copy.prepare_still()
    for name in _ASKED:
        if name in dict(copy.named_buffers(recurse=False)):
            answer = copy.get_buffer(name).numpy()
            delattr(copy, name)
            setattr(copy, name, answer)
    return copy

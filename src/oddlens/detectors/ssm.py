"""SSM: self-supervised masking for anomaly detection and localization.

Huang, Xu, Wang, Wang, Zhang, "Self-Supervised Masking for Unsupervised Anomaly Detection and
Localization", IEEE TMM 25 (2022), arXiv 2205.06568. A network learns to restore randomly masked
normal images, told which pixels are masked. A test image is first hidden completely, piece by
piece; what restores well is uncovered, so that the mask shrinks onto what does not.

``variant="official"`` follows the released code, ``variant="loop"`` reconstructs the paper's loop
(the paper's settings are not known to us: every default named SSM-Un is our choice).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor, nn

from oddlens.detector import Detector
from oddlens.detectors.ssm_options import SSMOptions
from oddlens.images import ImageCache
from oddlens.networks.layout import channels_last
from oddlens.networks.masked_unet import MaskedUNet
from oddlens.options import DetectorOptions
from oddlens.pretext.augmentation import mirrored
from oddlens.pretext.masking import (
    cell_means,
    checkerboards,
    free_masks,
    partition_masks,
    released_partition_masks,
)
from oddlens.pretext.refinement import Refined, Stop, first_pass, refine
from oddlens.pretext.released import ReleasedSettings, released_inference
from oddlens.pretext.restoration import (
    ERRORS,
    LossWeights,
    Reference,
    compose,
    restoration_loss,
)
from oddlens.pretext.similarity import smooth
from oddlens.scoring import Cues
from oddlens.scoring.normals import PixelMoments
from oddlens.training.stage import Schedule, Stage, cosine, step_decay

FALLBACK_THRESHOLD = 0.0157
"""Error below which a cell is uncovered before thresholds are fitted (released code's value)."""


SCHEDULES: dict[str, Schedule] = {
    "cosine": cosine,
    "mvtec": step_decay((5 / 6,)),
    "oct": step_decay((0.3, 0.6, 0.9)),
}
_log = logging.getLogger(__name__)


class Layer(NamedTuple):
    """One way to look at the error maps: a channel, a smoothing, a sign; for a score or a map."""

    cue: str
    error: str
    sigma: float
    sign: float = 1.0
    one_sided: bool = False
    scores: bool = True
    localizes: bool = False


def _layers(config: SSMOptions) -> list[Layer]:
    equalised = config.equalise > 0
    layers: list[Layer] = []
    for sigma in config.sigmas:
        if "structure" in config.cues:
            # A map is read across images as well as within one: it takes both sides' word.
            layers.append(
                Layer("structure", "structure", sigma, scores=not equalised, localizes=True)
            )
            if equalised:
                layers.append(Layer("structure", "equalised", sigma, localizes=True))
        if "intensity" in config.cues:
            layers.append(Layer("intensity", "intensity", sigma, localizes=True))
    for name, sign in (("darker", 1.0), ("brighter", -1.0)):
        if name in config.cues:
            layers.append(Layer(name, "residual", config.residual_sigma, sign, True))
    return layers


class SSM(Detector):
    """Self-supervised masking with progressive mask refinement; detects and localizes.

    Args:
        options: see ``SSMOptions``; every option is a keyword. ``preset="compact"`` (default) is a
            network for CPUs; ``preset="paper"`` the released one.
    """

    method: ClassVar[str] = "ssm"
    Options: ClassVar[type[DetectorOptions]] = SSMOptions
    config: SSMOptions
    _stack: int | None = 32
    """Most variants in one pass of the network."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        config = self.config
        self.network = MaskedUNet(
            config.widths, stem=config.stem, mask_attention=config.mask_attention
        )
        channels_last(self.network)
        scales, size = len(config.scoring_cells), config.image_size
        layers = len(_layers(config))
        self.thresholds: Tensor
        self.normal_mean: Tensor
        self.normal_std: Tensor
        self.register_buffer("thresholds", torch.full((scales, 2), FALLBACK_THRESHOLD))
        self.register_buffer("normal_mean", torch.zeros(scales, layers, size, size))
        self.register_buffer("normal_std", torch.ones(scales, layers, size, size))
        self._masks: dict[int, Tensor] = {}

    # --- training -----------------------------------------------------------------------------

    def stages(self) -> list[Stage]:
        """One stage: restore masked normal images (SSM, sections 3 to 6)."""
        config = self.config

        def adam(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
            return torch.optim.Adam(
                parameters, lr=config.learning_rate, weight_decay=config.weight_decay
            )

        return [
            Stage(
                name="restore",
                module=self.network,
                loss=self.loss,
                optimizer=adam,
                schedule=SCHEDULES[config.schedule],
                epochs=config.epochs,
                most_steps=config.most_steps,
                batch_size=config.batch_size,
            )
        ]

    def loss(self, images: Tensor, generator: Generator) -> dict[str, Tensor]:
        """MSE + MSGMS + (1 - SSIM) of the restoration, and the mask head's MSE (section 5).

        Args:
            images: ``(N, 3, S, S)`` in [0, 1].
            generator: draws masks and mirroring.
        """
        images = mirrored(images, self.config.flips, generator)
        official = self.config.variant == "official"
        restored, mask_error = (self._partitioned if official else self._masked)(images, generator)
        weights = LossWeights(
            self.config.mse_weight,
            self.config.msgms_weight,
            self.config.ssim_weight,
            self.config.mask_weight,
        )
        with torch.autocast(images.device.type, enabled=False):
            terms = restoration_loss(images, restored, weights)
        if weights.mask:
            terms["mask"] = weights.mask * mask_error
        return terms

    def _masked(self, images: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """One free mask an image; visible pixels are copied (section 3.2)."""
        config = self.config
        mask = free_masks(
            len(images), config.image_size, config.cells, config.hidden, generator
        ).to(images.device)[:, None]
        output, predicted = self.network(images * mask, mask)
        return compose(images, output, mask), (predicted - mask).square().mean()

    def _partitioned(self, images: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """One partition a batch; the image is assembled from its parts (section 3.1)."""
        config = self.config
        drawn = int(torch.randint(len(config.cells), (1,), generator=generator))
        masks = partition_masks(config.image_size, config.cells[drawn], config.parts, generator).to(
            images.device
        )
        restored, mask_error = torch.zeros_like(images), torch.zeros((), device=images.device)
        for mask in masks[:, None, None]:
            output, predicted = self.network(images * mask, mask.expand(len(images), -1, -1, -1))
            restored = restored + output * (1 - mask)
            mask_error = mask_error + (predicted - mask).square().mean()
        return restored, mask_error

    # --- scoring ------------------------------------------------------------------------------

    def restore(self, masked: Tensor, mask: Tensor) -> Tensor:
        """In-paint masked images: ``(M, 3, S, S)`` and ``(M, 1, S, S)`` to ``(M, 3, S, S)``."""
        restored: Tensor = self.network(masked, mask)[0]
        return restored

    def cues(self, images: Tensor) -> Cues:
        """What is odd in structure, what is darker and what is brighter than expected.

        Structure (and intensity) come with a map: the largest standardised error over the
        smoothings, so that specks and stains both stand out. Darker and brighter are peaks of the
        signed residual, barely smoothed.

        Args:
            images: ``(N, 3, S, S)`` in [0, 1].
        """
        if self.config.variant == "official":
            return self._released_cues(images)
        standardised = self._standardised(self.refine(images)).mean(dim=0)
        layers = _layers(self.config)
        scores: dict[str, Tensor] = {}
        maps: dict[str, Tensor] = {}
        for name in self.config.cues:
            mine = [(index, layer) for index, layer in enumerate(layers) if layer.cue == name]
            evidence = standardised[:, [index for index, layer in mine if layer.scores]]
            scores[name] = evidence.flatten(1).amax(dim=1).double()
            if shown := [(index, layer.sigma) for index, layer in mine if layer.localizes]:
                maps[name] = _largest_over_sigmas(standardised, shown)
        return Cues(scores, maps)

    def refine(self, images: Tensor) -> dict[int, Refined]:
        """Run the refinement loop on images ``(N, 3, S, S)``, by cell size (section 7.2)."""
        config = self.config
        masks = {cell: self._first_masks(cell, images.device) for cell in config.scoring_cells}
        limits: dict[int, tuple[float, float]] = {
            cell: (float(row[0]), float(row[1]))
            for cell, row in zip(config.scoring_cells, self.thresholds.tolist(), strict=True)
        }
        refined = refine(
            self.restore, self.judge, self._reference(images), masks, limits, rounds=config.rounds
        )
        for cell, each in refined.items():
            _log.debug("cell size %d: refinement stopped by %s", cell, stops(each))
        return refined

    def _reference(self, images: Tensor) -> Reference:
        return Reference.of(images, self.config.equalise * self.config.image_size / 128)

    def judge(self, errors: Tensor) -> Tensor:
        """The error held against the thresholds: ``(M, 4, S, S)`` to ``(M, S, S)``."""
        return errors[:, 0] + self.config.intensity_weight * errors[:, 1]

    def _released_cues(self, images: Tensor) -> Cues:
        config = self.config
        settings = ReleasedSettings(
            cells=config.scoring_cells,
            parts=config.parts,
            rounds=min(config.rounds, 1) + 1,
            sigma=7.0 * config.image_size / 128,
            rows_only=config.rows_only,
            equal_weights=config.equal_weights,
        )
        found = released_inference(self.restore, images, settings, stack=self._stack)
        scores = {"structure": found.maps.flatten(1).amax(dim=1).double(), "intensity": found.mse}
        maps = {"structure": found.maps} if "structure" in config.cues else {}
        return Cues({name: scores[name] for name in config.cues}, maps)

    def _first_masks(self, cell: int, device: torch.device) -> Tensor:
        """The masks of the first pass, drawn once: they are the same for every image."""
        if cell not in self._masks:
            size = self.config.image_size
            self._masks[cell] = (
                checkerboards(size, cell)
                if self.config.start == "checkerboard"
                else released_partition_masks(size, cell, self.config.parts, seed=8)
            )
        return self._masks[cell].to(device)

    def _maps(self, refined: dict[int, Refined]) -> Tensor:
        """``A_k = smooth(w E_T + (1 - w) E_0)`` for every k and layer: ``(K, N, layers, S, S)``."""
        weight = self.config.persistence if self.config.rounds else 0.0
        mixed = torch.stack(
            [weight * self._last(r) + (1 - weight) * r.first for r in refined.values()]
        )
        unit = self.config.image_size / 128
        layers = _layers(self.config)
        planes = [
            smooth(mixed[:, :, ERRORS.index(layer.error)], layer.sigma * unit) * layer.sign
            for layer in layers
        ]
        return torch.stack(
            [
                plane.clamp(min=0) if layer.one_sided else plane
                for plane, layer in zip(planes, layers, strict=True)
            ],
            dim=2,
        )

    def _last(self, refined: Refined) -> Tensor:
        """E_T: the last error of each pixel, or that of H alone with zeros around it."""
        if self.config.outside == "last":
            return refined.last
        return torch.where(refined.hidden[:, None], refined.last, 0.0)

    def _standardised(self, refined: dict[int, Refined]) -> Tensor:
        return (self._maps(refined) - self.normal_mean[:, None]) / self.normal_std[:, None]

    # --- statistics of normal images ----------------------------------------------------------

    def images_to_adapt(self, train: int, tune: int) -> int:
        """Held-out images for the thresholds, then both kinds for the statistics; see ``adapt``."""
        if self.config.variant == "official":
            return 0
        if self.config.normalise == "none":
            return tune
        return tune + tune + min(self.config.spread_images, train)

    def adapt(self, train: ImageCache, tune: ImageCache, tell: Callable[[int, int], None]) -> None:
        """Fit the thresholds of the refinement, then the maps' statistics (SSM-U6, SSM-U10).

        Thresholds are quantiles over held-out normals. The statistics by pixel say where a normal
        image is hard to restore (edges, print); held-out images alone are too few for them, so
        that a sample of the training images joins in (our choice; their errors are as large as
        those of held-out images as long as the network has not learned them by heart, and the
        calibration, which shares no image with either, holds in any case).
        """
        if self.config.variant == "official":
            return
        count = min(self.config.spread_images, len(train))
        both = self.images_to_adapt(len(train), len(tune))
        done = 0
        errors: list[list[Tensor]] = []
        for images in self.batches(tune):
            errors.append(self._cell_errors(images))
            done += len(images)
            tell(done, both)
        for scale in range(len(self.config.scoring_cells)):
            values = torch.cat([batch[scale] for batch in errors])
            limits = np.quantile(values.cpu().numpy(), self.config.quantiles)
            self.thresholds[scale] = torch.from_numpy(limits)
        if self.config.normalise == "none":
            return
        moments = PixelMoments()
        left: dict[int, Counter[str]] = {cell: Counter() for cell in self.config.scoring_cells}
        sample = train.subset(range(0, len(train), max(1, len(train) // max(count, 1))))
        for part in (tune, sample.subset(range(min(count, len(sample))))) if count else (tune,):
            for images in self.batches(part):
                refined = self.refine(images)
                moments.add(self._maps(refined))
                for cell, each in refined.items():
                    left[cell].update(stops(each))
                done += len(images)
                tell(min(done, both), both)
        self.normal_mean, self.normal_std = moments.statistics(
            by_pixel=self.config.normalise == "pixel"
        )
        self.diagnostics["refinement of normals stopped by"] = {
            str(cell): dict(counts) for cell, counts in left.items()
        }

    def _cell_errors(self, images: Tensor) -> list[Tensor]:
        """By cell size, the first-pass errors of all cells of all images."""
        reference = self._reference(images)
        found = []
        for cell in self.config.scoring_cells:
            masks = self._first_masks(cell, images.device)
            _, errors = first_pass(self.restore, reference, masks)
            found.append(cell_means(self.judge(errors), cell).flatten())
        return found


def stops(refined: Refined) -> dict[str, int]:
    """How many images the refinement left for which reason (``Stop``), in lower case."""
    return {
        reason.name.lower(): count
        for reason in Stop
        if (count := int((refined.stop == reason).sum()))
    }


def _largest_over_sigmas(standardised: Tensor, shown: list[tuple[int, float]]) -> Tensor:
    """Average the layers of one smoothing, take the largest over smoothings: ``(N, S, S)``.

    Args:
        standardised: ``(N, layers, S, S)``.
        shown: index and sigma of the layers that the map is made of.
    """
    by_sigma: dict[float, list[int]] = {}
    for index, sigma in shown:
        by_sigma.setdefault(sigma, []).append(index)
    averaged = [standardised[:, indices].mean(dim=1) for indices in by_sigma.values()]
    return torch.stack(averaged).amax(dim=0)

"""Detectors of a few parameters, which fit in milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Generator, Tensor, nn

from oddlens.detector import Detector
from oddlens.images import ImageCache, open_source
from oddlens.options import DetectorOptions
from oddlens.scoring import Cues
from oddlens.training import Stage, cosine

SIZE = 16


class ToyOptions(DetectorOptions):
    image_size: int = Field(SIZE, ge=4)
    learning_rate: float = Field(0.05, gt=0, description="of plain gradient descent")
    momentum: float = Field(0.9, ge=0)
    batch_size: int = Field(4, ge=1)
    epochs: int = Field(3, ge=1)
    stages: int = Field(1, ge=0)
    diverges_at: int | None = None


class Toy(Detector):
    """Learns a template of normal images; the cue is the distance from it, by pixel.

    Its loss draws noise from the generator and from dropout, so that a run repeats itself only
    where every draw does.
    """

    method: ClassVar[str] = "toy"
    Options: ClassVar[type[DetectorOptions]] = ToyOptions
    config: ToyOptions

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.template = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.gain = nn.Linear(1, 1)
        self.scale: Tensor
        self.register_buffer("scale", torch.ones(()))
        self.losses = 0
        self.on_loss: Callable[[int], None] = lambda count: None

    def stages(self) -> list[Stage]:
        module = nn.ModuleList([self.template, self.norm])
        made = [("restore", module, self.restore), ("gain", self.gain, self.stretch)]
        return [
            Stage(
                name,
                part,
                loss,
                lambda parameters: torch.optim.SGD(
                    parameters, lr=self.config.learning_rate, momentum=self.config.momentum
                ),
                cosine,
                epochs=self.config.epochs,
                batch_size=self.config.batch_size,
            )
            for name, part, loss in made[: self.config.stages]
        ]

    def restore(self, images: Tensor, generator: Generator) -> dict[str, Tensor]:
        noise = torch.randn(images.shape, generator=generator).to(images.device)
        restored = self.norm(self.template(torch.dropout(images + 0.1 * noise, 0.1, True)))
        return self._told({"mse": (restored - images).square().mean(), "zero": images.sum() * 0})

    def stretch(self, images: Tensor, generator: Generator) -> dict[str, Tensor]:
        values = images.flatten(1).mean(dim=1, keepdim=True)
        return self._told({"gain": (self.gain(values) - 2 * values).square().mean()})

    def _told(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        self.losses += 1
        self.on_loss(self.losses)
        if self.losses == self.config.diverges_at:
            return {**terms, "bad": next(iter(terms.values())) * float("nan")}
        return terms

    def adapt(self, train: ImageCache, tune: ImageCache, tell: Callable[[int, int], None]) -> None:
        spread = [images.std() for images in self.batches(tune)]
        self.scale = torch.stack(spread).mean().clamp(min=1e-3)
        tell(len(tune), len(tune))

    def cues(self, images: Tensor) -> Cues:
        restored = self.norm(self.template(images))
        maps = (restored - images).square().mean(dim=1) / self.scale
        level = images.double().mean(dim=(1, 2, 3))
        return Cues({"error": maps.double().mean(dim=(1, 2)), "level": level}, {"error": maps})


def noise(count: int, seed: int = 0, size: int = SIZE) -> np.ndarray:
    """Independent noise images ``(count, size, size, 3)`` uint8."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, size, size, 3)).astype(np.uint8)


def cache(count: int, seed: int = 0) -> ImageCache:
    return ImageCache.load(open_source(noise(count, seed)), SIZE, on_bad="raise")


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name]) for name, value in first.items()
    )

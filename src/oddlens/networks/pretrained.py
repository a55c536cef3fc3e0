"""Frozen encoders, by name: AnoMem learns what is normal on the feature maps of any of them.

A saved detector is JSON and tensors, never code, so that it can name its encoder but not contain
it: whoever plugs in a module registers it under a name, before fitting and before loading.

The weights of the encoder are saved with the detector (2.8 MB for EfficientNet-Lite0, 12 MB with
its stages of stride 32; our choice): a saved detector then scores the same whatever weights are
published later, needs neither the extra nor a download to be loaded, and its digest covers them.
The code comes from elsewhere: a model of timm asks for timm when it is loaded, a registered one for
its registration.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oddlens.errors import UsageError
from oddlens.networks.efficientnet_lite import EfficientNetLite0
from oddlens.networks.evenness import evened
from oddlens.networks.timm_encoder import TimmEncoder

_TIMM = "timm:"
_ENCODERS: dict[str, Callable[[], nn.Module]] = {"efficientnet_lite0": EfficientNetLite0}


def register_encoder(name: str, make: Callable[[], nn.Module]) -> None:
    """Make a module of your own known as ``encoder=name``.

    Args:
        name: what options and saved detectors call it; one that was registered is replaced.
        make: makes the module: images ``(N, 3, S, S)`` in [0, 1] to a list of at least one
            feature map ``(N, C_s, H_s, W_s)``, shallow to deep, whose shapes depend on S alone.
            Where it has a method ``load_pretrained``, that is called once a fit, and not when a
            saved detector is loaded, whose weights come with it. Where it has a method ``deepen``,
            that is called before all else with ``subject=kind``: to show maps as well that see too
            much of an image at once to localize.

    Raises:
        UsageError: the name is oddlens's own.
    """
    if name in ("compact", "resnet18", "efficientnet_lite0") or name.startswith(_TIMM):
        raise UsageError(f"encoder {name!r} is oddlens's own: register yours by another name")
    _ENCODERS[name] = make


def is_pretrained(name: str) -> bool:
    """Whether this encoder is a frozen one that can be made."""
    return name.startswith(_TIMM) or name in _ENCODERS


def encoder_names() -> list[str]:
    """The frozen encoders that there are, ``timm:<model>`` left out."""
    return sorted(_ENCODERS)


class FrozenEncoder(nn.Module):
    """A pretrained encoder that never changes: no gradients, always in evaluation mode.

    Args:
        name: registered, or ``timm:<model>``.
        scales: how many of the last feature maps are shown.
        image_size: S.
        locality: side of the square over which features are averaged (as PatchCore does), odd.
        even: show it images without their light, see ``evened``.
        deepest: show maps that are too coarse to localize as well, where it has some.
        mirrored: look at each image in a mirror as well, turn back what is seen there, and show
            the mean of both.

    Attributes:
        channels: of the scales, shallow to deep.
        sides: ``(H_s, W_s)`` of the scales.

    Raises:
        UsageError: there is no such encoder, it has fewer scales or cannot take images of this
            size, or what it returns is no list of feature maps.
    """

    def __init__(
        self,
        name: str,
        scales: int,
        image_size: int,
        locality: int = 3,
        *,
        even: bool = False,
        deepest: bool = False,
        mirrored: bool = False,
    ) -> None:
        super().__init__()
        self._mirrored = mirrored
        self._name, self._scales, self._locality, self._even = name, scales, locality, even
        if name.startswith(_TIMM):
            self.inner: nn.Module = TimmEncoder(name.removeprefix(_TIMM))
        elif name in _ENCODERS:
            self.inner = _ENCODERS[name]()
        else:
            raise UsageError(
                f"there is no encoder {name!r}: register it before fitting or loading "
                f"(oddlens.networks.pretrained.register_encoder), or use one of compact, resnet18, "
                f"{', '.join(encoder_names())}, timm:<model>"
            )
        deepen = getattr(self.inner, "deepen", None)
        if deepest and deepen is not None:
            deepen()
        self.inner.requires_grad_(False)
        self.eval()
        with torch.no_grad():
            try:
                seen = self.inner(torch.zeros(1, 3, image_size, image_size))
            except RuntimeError as error:
                raise UsageError(
                    f"encoder {name} cannot take images of {image_size} pixels ({error}): ask for "
                    "another image_size"
                ) from error
            maps = self._checked(seen)
        self.channels = tuple(each.shape[1] for each in maps)
        self.sides = tuple((each.shape[2], each.shape[3]) for each in maps)

    def load_pretrained(self) -> None:
        """Take the pretrained weights, where the encoder has to be told to."""
        load = getattr(self.inner, "load_pretrained", None)
        if load is not None:
            load()

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, whatever is asked for: statistics of batches never change."""
        return super().train(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images ``(N, 3, S, S)`` in [-1, 1] to averaged features, without gradients."""
        with torch.no_grad():
            images = (images + 1) / 2
            maps = self._looked_at(evened(images) if self._even else images)
            if self._locality == 1:
                return maps
            around = self._locality // 2
            return [
                F.avg_pool2d(each, self._locality, 1, around, count_include_pad=False)
                for each in maps
            ]

    def _looked_at(self, images: Tensor) -> list[Tensor]:
        maps = self._checked(self.inner(images))
        if not self._mirrored:
            return maps
        others = self._checked(self.inner(images.flip(-1)))
        return [(one + other.flip(-1)) / 2 for one, other in zip(maps, others, strict=True)]

    def _checked(self, maps: object) -> list[Tensor]:
        if not isinstance(maps, list | tuple) or not all(
            isinstance(each, Tensor) and each.ndim == 4 for each in maps
        ):
            raise UsageError(
                f"encoder {self._name}: it must return a list of feature maps (N, C, H, W)"
            )
        if len(maps) < self._scales:
            raise UsageError(
                f"scales {self._scales} is more than the {len(maps)} feature maps of the encoder "
                f"{self._name}"
            )
        return list(maps[-self._scales :])

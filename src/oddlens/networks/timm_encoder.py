"""Any model of timm that shows its feature maps, where timm can be imported."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from oddlens.errors import UsageError


class TimmEncoder(nn.Module):
    """A model of timm as an encoder; untrained until ``load_pretrained``.

    Images ``(N, 3, S, S)`` in [0, 1] to its feature maps, shallow to deep; those coarser than a
    stride of 16 are left out, since they hardly localize (our choice), until ``deepen`` is called.

    Args:
        name: as ``timm.create_model`` knows it.

    Raises:
        UsageError: timm cannot be imported, or the model shows no feature maps.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name, self._coarsest = name, 16.0
        self.model = self._create(pretrained=False)
        settings: dict[str, Any] = getattr(self.model, "pretrained_cfg", None) or {}
        for key, fallback in (("mean", (0.485, 0.456, 0.406)), ("std", (0.229, 0.224, 0.225))):
            value = torch.tensor(settings.get(key, fallback))[:, None, None]
            # Saved like the weights: another version of timm may have others under this name.
            self.register_buffer(key, value)
        self.mean: Tensor
        self.std: Tensor

    def deepen(self) -> None:
        """Show the coarsest maps as well."""
        self._coarsest = math.inf

    def forward(self, images: Tensor) -> list[Tensor]:
        """The feature maps."""
        found = self.model((images - self.mean) / self.std)
        return [each for each in found if each.shape[-1] * self._coarsest >= images.shape[-1]]

    def load_pretrained(self) -> None:
        """Take the published weights, which timm downloads or has at hand."""
        self.model.load_state_dict(self._create(pretrained=True).state_dict())

    def _create(self, *, pretrained: bool) -> nn.Module:
        try:
            import timm
        except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision of another build
            raise UsageError(
                f"encoder timm:{self._name} needs timm, which cannot be imported ({error}): "
                "pip install timm, or use encoder=efficientnet_lite0"
            ) from error
        try:
            model: nn.Module = timm.create_model(
                self._name, pretrained=pretrained, features_only=True
            )
        except (RuntimeError, AttributeError, ValueError, OSError) as error:
            reason = " ".join(str(error).split())
            raise UsageError(f"encoder timm:{self._name} cannot be used: {reason}") from error
        return model

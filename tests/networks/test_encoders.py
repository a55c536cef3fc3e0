"""The encoders and the heads on them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from oddlens.networks.compact_encoder import CompactEncoder
from oddlens.networks.multi_head import MultiHead
from oddlens.networks.wide_resnet import WideResNet


def test_the_wide_residual_network_is_the_published_one() -> None:
    network = WideResNet()
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    main = [m for m in convolutions if m.kernel_size == (3, 3)]
    assert len(main) == 13, "16 layers with three shortcuts and the classifier"
    assert [m.out_channels for m in main[1::4]] == [64, 128, 256]
    # Counted by hand from its table: convolutions, then scale and shift of the batch norms.
    first, stages = 16 * 27, [(16, 64), (64, 128), (128, 256)]
    convolutions_of = [9 * a * b + 3 * 9 * b * b + a * b for a, b in stages]
    norms = 2 * (sum(a + 3 * b for a, b in stages) + 256)
    assert sum(p.numel() for p in network.parameters()) == first + sum(convolutions_of) + norms
    assert network.eval()(torch.rand(1, 3, 32, 32)).shape == (1, 256, 8, 8)


@pytest.mark.parametrize("side", [16, 33, 36, 66])
@pytest.mark.parametrize(
    "encoder",
    [WideResNet(), CompactEncoder((8, 8, 8)), CompactEncoder((8,), 4), CompactEncoder((8, 8), 1)],
)
def test_any_side_will_do(encoder: nn.Module, side: int) -> None:
    features = encoder.eval()(torch.rand(2, 3, side, side))
    assert features.shape[:2] == (2, encoder.features)
    assert min(features.shape[2:]) >= 2


def test_heads_see_the_whole_image_in_plus_minus_one() -> None:
    seen: list[torch.Tensor] = []

    class Watch(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(images)
            return images

    network = MultiHead(Watch(), 3, {"a": 2, "b": 5})
    images = torch.rand(4, 3, 6, 6)
    found = network(images)
    assert {name: tuple(each.shape) for name, each in found.items()} == {"a": (4, 2), "b": (4, 5)}
    assert torch.allclose(seen[0], 2 * images - 1)
    expected = network.heads["a"]((2 * images - 1).mean(dim=(2, 3)))
    assert torch.allclose(found["a"], expected, atol=1e-6)

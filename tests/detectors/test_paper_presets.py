"""The presets named ``paper``: published encoder and heads, their rates, a loss that runs."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor, nn
from torch.optim import SGD, Adam, Optimizer

from oddlens.detector import Detector
from oddlens.detectors.geometric_transforms import GeometricTransforms
from oddlens.detectors.multicue import MultiCue
from oddlens.detectors.multitask import MultiTask
from oddlens.detectors.recognition import Recognition
from oddlens.networks.wide_resnet import WideResNet


def is_wrn_16_4(encoder: nn.Module) -> bool:
    return isinstance(encoder, WideResNet) and (len(encoder.blocks), encoder.features) == (6, 256)


def lossy(detector: Detector) -> list[dict[str, Tensor]]:
    """The terms of every stage's loss on two images of the preset's size."""
    generator = Generator().manual_seed(0)
    side = detector.config.image_size
    images = torch.rand(2, 3, side, side, generator=generator)
    with torch.no_grad():
        found = [stage.loss(images, generator) for stage in detector.stages()]
    assert all(bool(term.isfinite()) for terms in found for term in terms.values())
    return found


def optimizers(detector: Detector) -> dict[str, Optimizer]:
    return {stage.name: stage.optimizer(stage.module.parameters()) for stage in detector.stages()}


@pytest.mark.parametrize(("method", "rate"), [(MultiTask, 0.008), (GeometricTransforms, 0.1)])
def test_recognition_has_wrn_16_4_and_a_dense_head_a_task(
    method: type[Recognition], rate: float
) -> None:
    detector = method(preset="paper")
    assert detector.config.ood == "softmax_truth"
    assert is_wrn_16_4(detector.network.encoder)
    classes = {"vertical": 3, "horizontal": 3, "rotation": 4}
    if method is MultiTask:
        classes["jigsaw"] = 3
    heads = detector.network.heads.state_dict()
    for name, count in classes.items():
        assert heads.pop(f"{name}.weight").shape == (count, 256)
        assert heads.pop(f"{name}.bias").shape == (count,)
    assert not heads
    made = optimizers(detector)["recognise"]
    assert isinstance(made, SGD)
    (group,) = made.param_groups
    told = [group[name] for name in ("lr", "momentum", "nesterov", "weight_decay")]
    assert told == [rate, 0.9, True, 5e-4]
    (terms,) = lossy(detector)
    assert terms.keys() == classes.keys()


def test_multicue_has_wrn_16_4_and_a_unet_of_three_levels() -> None:
    detector = MultiCue(preset="paper")
    assert detector.config.ood == "softmax_truth"
    pieces = detector.pieces
    assert is_wrn_16_4(pieces.encoder)
    assert pieces.position.weight.shape == (9 * 9, 9 * 256)
    assert pieces.tint.weight.shape == (9 * 4, 9 * 256)
    assert pieces.attention.weight.shape == (1, 256, 1, 1)
    first = [next(block.parameters()).shape[:2] for block in detector.unet.down]
    assert first == [(32, 4), (64, 32), (128, 64)], "no folding, and 32, 64, 128 channels"
    made = optimizers(detector)
    assert isinstance(made["pieces"], SGD)
    assert isinstance(made["recolor"], Adam)
    rates = {name: each.param_groups[0]["lr"] for name, each in made.items()}
    assert rates == {"pieces": 0.1, "recolor": 1e-3}
    one, other = lossy(detector)
    assert one.keys() == {"puzzle", "tint", "density"}
    assert list(other) == ["recolorization"]

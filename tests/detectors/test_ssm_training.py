"""What SSM learns from: the loss of both variants, term by term."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from tests.detectors.tiny import SIDE, Answer, as_batch, surfaces, tiny

VARIANTS = ["loop", "official"]


def seeded(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def total(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()


@pytest.mark.parametrize("variant", VARIANTS)
def test_there_are_four_terms(variant: str) -> None:
    terms = tiny(variant=variant).train().loss(as_batch(surfaces(4)), seeded())
    assert list(terms) == ["mse", "msgms", "ssim", "mask"]
    for value in terms.values():
        assert value.shape == ()
        assert 0 < value.item() < 10


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", ["mse", "msgms", "ssim", "mask"])
def test_a_term_of_weight_0_is_absent_and_the_others_stay(variant: str, name: str) -> None:
    images = as_batch(surfaces(4))
    even = tiny(variant=variant).train().loss(images, seeded())
    options: dict[str, Any] = {f"{name}_weight": 0.0}
    without = tiny(variant=variant, **options).train().loss(images, seeded())
    assert without.keys() == even.keys() - {name}
    for term, value in without.items():
        assert value.item() == pytest.approx(even[term].item())
    options = {f"{name}_weight": 0.01}
    little = tiny(variant=variant, **options).train().loss(images, seeded())
    assert little[name].item() == pytest.approx(0.01 * even[name].item())


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_loss_depends_on_the_generator_and_nothing_else(variant: str) -> None:
    images, detector = as_batch(surfaces(4)), tiny(variant=variant, flips="both").train()
    torch.manual_seed(1)
    first = total(detector.loss(images, seeded(7)))
    torch.manual_seed(2)
    assert torch.equal(first, total(detector.loss(images, seeded(7))))
    assert not torch.equal(first, total(detector.loss(images, seeded(8))))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_network_sees_visible_pixels_only_and_learns_from_hidden_ones_only(
    variant: str,
) -> None:
    detector = tiny(variant=variant, mask_weight=0.0)
    images = as_batch(surfaces(4))
    detector.network = answer = Answer(torch.full((), 0.5))  # type: ignore[assignment]
    total(detector.loss(images, seeded())).backward()  # type: ignore[no-untyped-call]
    assert len(answer.asked) == (1 if variant == "loop" else 3)
    for (masked, mask), restored in zip(answer.asked, answer.answers, strict=True):
        assert torch.equal(masked, images * mask)
        assert restored.grad is not None
        visible = (mask > 0).expand_as(restored)
        assert bool((restored.grad[visible] == 0).all())
        assert float((restored.grad[~visible] != 0).float().mean()) > 0.9


def test_loop_draws_a_mask_for_every_image() -> None:
    detector = tiny(cells=(2,), hidden=(0.1, 0.5))
    detector.network = answer = Answer(torch.full((), 0.5))  # type: ignore[assignment]
    detector.loss(as_batch(surfaces(32)), seeded())
    masks = answer.asked[0][1]
    assert len({mask.numpy().tobytes() for mask in masks}) == 32
    hidden = 1 - masks.mean(dim=(1, 2, 3))
    assert 0.05 < hidden.min() < 0.2
    assert 0.4 < hidden.max() < 0.6


def test_official_hides_every_pixel_once_with_one_partition_for_the_batch() -> None:
    detector = tiny(variant="official", parts=4)
    detector.network = answer = Answer(torch.full((), 0.5))  # type: ignore[assignment]
    terms = detector.loss(as_batch(surfaces(2)), seeded())
    masks = torch.stack([mask for _, mask in answer.asked])
    assert masks.shape == (4, 2, 1, SIDE, SIDE)
    assert torch.equal(masks[:, 0], masks[:, 1])
    assert torch.equal((1 - masks).sum(dim=0), torch.ones(2, 1, SIDE, SIDE))
    # Nothing is copied: the whole image is put together from the answers.
    images = as_batch(surfaces(2))
    assert float(terms["mse"]) == pytest.approx(float((images - 0.5).square().mean()), rel=1e-5)
    # Four masks, each 3/4 visible, against a predicted mask of 0: the sum of four means.
    assert float(terms["mask"]) == pytest.approx(3)


def test_the_mask_term_is_the_error_of_the_predicted_mask() -> None:
    detector = tiny()
    predicted = torch.full((), 0.25)
    detector.network = answer = Answer(torch.full((), 0.5), predicted)  # type: ignore[assignment]
    terms = detector.loss(as_batch(surfaces(4)), seeded())
    plain = (answer.asked[0][1] - 0.25).square().mean()
    assert float(terms["mask"]) == pytest.approx(float(plain))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_flat_image_gives_finite_gradients(variant: str, level: float) -> None:
    detector = tiny(variant=variant).train()
    terms = detector.loss(torch.full((4, 3, SIDE, SIDE), level), seeded())
    total(terms).backward()  # type: ignore[no-untyped-call]
    for name, parameter in detector.network.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("mask_attention", [True, False])
def test_training_lowers_the_loss(variant: str, mask_attention: bool) -> None:
    detector = tiny(variant=variant, mask_attention=mask_attention).train()
    images = as_batch(surfaces(8))
    (stage,) = detector.stages()
    optimizer = stage.optimizer(stage.module.parameters())

    def measured() -> dict[str, float]:
        with torch.no_grad():
            return {name: float(each) for name, each in stage.loss(images, seeded(0)).items()}

    before = measured()
    for step in range(20):
        optimizer.zero_grad()
        total(stage.loss(images, seeded(step))).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    after = measured()
    assert sum(after.values()) < 0.8 * sum(before.values())
    assert after["mask"] < before["mask"]
    assert after["mse"] < before["mse"]


def test_the_stage_says_how_to_train() -> None:
    (stage,) = tiny(learning_rate=3e-3, weight_decay=1e-4, epochs=7, batch_size=5).stages()
    assert (stage.epochs, stage.batch_size) == (7, 5)
    (group,) = stage.optimizer(stage.module.parameters()).param_groups
    assert (group["lr"], group["weight_decay"]) == (3e-3, 1e-4)


def test_the_paper_preset_drops_the_rate_to_a_tenth_at_epoch_250_of_300() -> None:
    (stage,) = tiny(preset="paper").stages()
    assert stage.epochs == 300
    assert stage.schedule(249 / 300) == 1
    assert stage.schedule(251 / 300) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("flips", "axes"), [("none", []), ("horizontal", [[-1]]), ("both", [[-1], [-2], [-1, -2]])]
)
def test_images_are_mirrored_as_the_option_says(flips: str, axes: list[list[int]]) -> None:
    detector = tiny(flips=flips)
    detector.network = answer = Answer(torch.full((), 0.5))  # type: ignore[assignment]
    images = torch.rand(40, 3, SIDE, SIDE, generator=seeded())
    detector.loss(images, seeded(1))
    masked, mask = answer.asked[0]
    seen = set()
    for image, visible, part in zip(images, mask, masked, strict=True):
        for number, flip in enumerate([[], [-1], [-2], [-1, -2]]):
            if torch.equal(image.flip(flip) * visible, part):
                seen.add(number)
                break
        else:
            pytest.fail("an image that is no mirror image of the original")
    assert seen == {[[], [-1], [-2], [-1, -2]].index(flip) for flip in [[], *axes]}

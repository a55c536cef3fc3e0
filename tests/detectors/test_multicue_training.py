"""What MultiCue learns from, stage by stage, and what it does about grey images."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from oddlens.errors import DataError
from oddlens.pretext.attention import density, to_pixels
from tests.detectors.tiny_multicue import SIDE, as_batch, as_cache, pictures, seeded, tiny

ALL = ("puzzle", "tint", "recolorization")
SUBSETS = [ALL, ALL[:2], ALL[1:], ALL[::2], ALL[:1], ALL[1:2], ALL[2:]]


@pytest.mark.parametrize("tasks", SUBSETS)
def test_a_stage_for_each_branch_and_a_term_for_each_task(tasks: tuple[str, ...]) -> None:
    detector = tiny(tasks=tasks)
    branches = {"pieces": detector.pieces, "recolor": detector.unet}
    stages = {stage.name: stage for stage in detector.stages()}
    assert ("pieces" in stages) == bool({"puzzle", "tint"} & set(tasks))
    assert ("recolor" in stages) == ("recolorization" in tasks)
    terms: list[str] = []
    for name, stage in stages.items():
        assert stage.module is branches[name]
        terms += stage.loss(as_batch(pictures(4)), seeded())
    assert set(terms) - {"density"} == set(tasks)


@pytest.mark.parametrize("attention", ["off", "u", "l", "both"])
def test_the_loss_depends_on_the_generator_and_nothing_else(attention: str) -> None:
    detector = tiny(attention=attention, flips="horizontal", jitter=2)
    images = as_batch(pictures(4))
    for stage in detector.stages():
        torch.manual_seed(1)
        first = stage.loss(images, seeded(7))
        torch.manual_seed(2)
        again, other = stage.loss(images, seeded(7)), stage.loss(images, seeded(8))
        assert all(torch.equal(first[name], again[name]) for name in first)
        assert any(not torch.equal(first[name], other[name]) for name in first)


def test_gradients_reach_encoder_heads_and_attention() -> None:
    detector = tiny().train()
    terms = detector.piece_loss(as_batch(pictures(8)), seeded())
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    for name, parameter in detector.pieces.named_parameters():
        if name != "attention.bias":  # a softmax does not feel it
            assert parameter.grad is not None, name
            assert bool(parameter.grad.any()), name
    assert all(parameter.grad is None for parameter in detector.unet.parameters())


def test_the_terms_are_those_of_the_equation() -> None:
    images = as_batch(pictures(4))
    detector = tiny(attention="both", lambda_t=2.0, lambda_d=0.3)
    terms = detector.piece_loss(images, seeded())
    look = detector._tasks.drawn(detector.pieces, images, seeded())
    cross_entropy = -look.position.log_softmax(-1).gather(-1, look.order[..., None])[..., 0]
    torch.testing.assert_close(terms["puzzle"], (look.attention * cross_entropy).sum(1).mean())
    torch.testing.assert_close(terms["density"], 0.3 * density(look.attention))
    one = tiny(attention="both", lambda_t=1.0).piece_loss(images, seeded())
    torch.testing.assert_close(terms["tint"], 2 * one["tint"])
    torch.testing.assert_close(terms["puzzle"], one["puzzle"])


def test_the_sign_of_the_density_term_is_an_option() -> None:
    images = as_batch(pictures(4))
    plus, minus = (
        tiny(lambda_d=weight).piece_loss(images, seeded())["density"] for weight in (0.1, -0.1)
    )
    assert plus > 0
    assert torch.equal(plus, -minus)


def test_attention_off_weighs_every_piece_alike() -> None:
    images = as_batch(pictures(4))
    detector = tiny(attention="off")
    look = detector._tasks.fixed(detector.pieces, images)
    assert bool((look.attention == 1 / 9).all())
    assert "density" not in detector.piece_loss(images, seeded())
    on = tiny(attention="u")
    shares = on._tasks.fixed(on.pieces, images).attention
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(8))
    assert float(shares.std()) > 0.01


def test_attention_for_the_l_branch_alone_does_not_steer_encoder_and_heads() -> None:
    images = as_batch(pictures(8))

    def gradients(attention: str) -> dict[str, Any]:
        detector = tiny(attention=attention).train()
        terms = detector.piece_loss(images, seeded())
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        return {name: each.grad for name, each in detector.pieces.named_parameters()}

    off, fitted = gradients("off"), gradients("l")
    for name, gradient in off.items():
        if name.startswith("attention"):
            assert gradient is None
        else:
            torch.testing.assert_close(fitted[name], gradient)
    assert bool(fitted["attention.weight"].any())


@pytest.mark.parametrize(("attention", "weighs"), [("off", 0), ("u", 0), ("l", 1), ("both", 1)])
def test_the_l_branch_is_weighed_by_the_untouched_images_map(attention: str, weighs: int) -> None:
    detector, images = tiny(attention=attention), as_batch(pictures(4))
    nll, weight = detector._colours(images)
    assert not weight.requires_grad
    if weighs:
        pixels = to_pixels(detector._tasks.untouched(detector.pieces, images), SIDE, 3)
        assert float(weight.std()) > 0.01
        torch.testing.assert_close(weight, pixels)
    else:
        assert bool((weight == 1).all())
    loss = detector.colour_loss(images, seeded())["recolorization"]
    torch.testing.assert_close(loss, (weight * nll).mean())


def test_training_the_l_branch_leaves_the_u_branch_alone() -> None:
    detector = tiny()
    detector.unet.train()
    detector.colour_loss(as_batch(pictures(4)), seeded())["recolorization"].backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is None for parameter in detector.pieces.parameters())
    assert all(
        bool(p.grad is not None and p.grad.isfinite().all()) for p in detector.unet.parameters()
    )


def test_without_tint_the_images_are_not_turned_and_without_puzzle_not_shuffled() -> None:
    images = as_batch(pictures(4))
    shown: list[torch.Tensor] = []
    for tasks in (("puzzle",), ("tint",)):
        detector = tiny(tasks=tasks, margin=0, attention="off")
        detector.pieces.encoder.register_forward_pre_hook(lambda _, given: shown.append(given[0]))
        look = detector._tasks.drawn(detector.pieces, images, seeded())
        still = torch.equal(look.order, torch.arange(9).expand(4, -1))
        assert still == (tasks == ("tint",))
    shuffled, tinted = ((each + 1) / 2 for each in shown)
    torch.testing.assert_close(
        shuffled.flatten(2).sort(dim=-1).values, images.flatten(2).sort(dim=-1).values
    )
    torch.testing.assert_close(tinted.amax(dim=1), images.amax(dim=1))  # the value of HSV
    assert not torch.allclose(tinted, images, atol=0.1)


def test_grey_images_leave_the_puzzle_alone() -> None:
    detector = tiny()
    with pytest.warns(UserWarning, match="grey.*tint and recolorization"):
        detector.prepare(as_cache(pictures(12, grey=True)))
    assert detector.active == ("puzzle",)
    assert [stage.name for stage in detector.stages()] == ["pieces"]
    assert detector.diagnostics["tasks dropped"] == ["tint", "recolorization"]
    cues = detector.raw_cues(as_batch(pictures(6, grey=True)))
    assert list(cues.scores) == ["structure"]
    assert float(cues.scores["structure"].std()) > 0
    copy = tiny()
    copy.load_state_dict(detector.state_dict())
    assert copy.active == ("puzzle",)


def test_grey_images_and_colour_tasks_alone_are_refused() -> None:
    with pytest.raises(DataError, match="grey.*add puzzle to the option tasks"):
        tiny(tasks=("tint", "recolorization")).prepare(as_cache(pictures(12, grey=True)))


def test_coloured_images_and_the_puzzle_on_grey_ones_pass_without_a_word() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        detector = tiny()
        detector.prepare(as_cache(pictures(12)))
        assert detector.active == ALL
        tiny(tasks=("puzzle",)).prepare(as_cache(pictures(12, grey=True)))

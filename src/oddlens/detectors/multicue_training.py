"""How MultiCue learns: its two stages, and the loss of the discriminative one.

Section 5 of what is known of the method (see ``multicue``); details named MC-Un are our choice.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from oddlens.detectors.multicue_options import MultiCueOptions, TaskName
from oddlens.detectors.multicue_pieces import Look
from oddlens.pretext.attention import density
from oddlens.pretext.puzzle import puzzle_loss
from oddlens.pretext.tint import expected_error
from oddlens.training.optimizers import optimizer_maker
from oddlens.training.stage import Loss, Stage, Watch, cosine


def piece_stage(pieces: nn.Module, config: MultiCueOptions, loss: Loss, watch: Watch) -> Stage:
    """Puzzle and tint, in one pass of one encoder (MC-U22)."""
    return Stage(
        name="pieces",
        module=pieces,
        loss=loss,
        optimizer=optimizer_maker(config.optimizer, config.learning_rate, config.weight_decay),
        schedule=cosine,
        epochs=config.epochs,
        batch_size=config.batch_size,
        share=1 - config.colour_share,
        monitor=watch,
    )


def colour_stage(unet: nn.Module, config: MultiCueOptions, loss: Loss, watch: Watch) -> Stage:
    """Re-colorization (MC-U22)."""
    return Stage(
        name="recolor",
        module=unet,
        loss=loss,
        optimizer=optimizer_maker("adam", config.colour_learning_rate),
        schedule=cosine,
        epochs=config.epochs,
        batch_size=config.batch_size,
        share=config.colour_share,
        clip=config.clip,
        monitor=watch,
    )


def piece_terms(
    look: Look, config: MultiCueOptions, tasks: Collection[TaskName]
) -> dict[str, Tensor]:
    """sum_i P_i (CE_i + lambda_t L_tint,i) + lambda_d n^2 Var(P), mean over the batch.

    With ``attention="l"`` the map is fitted to the losses without weighing them: encoder and
    heads learn from the plain mean, P from the same losses held fixed (our choice).

    Args:
        look: what was shown, and what the network answered.
        config: weights, and where attention weighs.
        tasks: which of puzzle and tint there are.
    """
    weighs = config.attention in ("u", "both")
    weight = look.attention if weighs else 1 / config.grid**2
    by_slot = _slot_losses(look, config, tasks)
    terms = {name: (weight * each).sum(dim=1).mean() for name, each in by_slot.items()}
    if config.attention == "l":
        held = torch.stack(list(by_slot.values())).sum(dim=0).detach()
        terms["attention"] = (look.attention * held).sum(dim=1).mean()
    if config.attention != "off":
        terms["density"] = config.lambda_d * density(look.attention)
    return terms


def _slot_losses(
    look: Look, config: MultiCueOptions, tasks: Collection[TaskName]
) -> dict[str, Tensor]:
    """The loss of every slot, ``(N, n)``, by task."""
    made = {}
    if "puzzle" in tasks:
        made["puzzle"] = puzzle_loss(look.position, look.order)
    if "tint" in tasks:
        error = expected_error(look.tint, look.angle, look.errors)
        made["tint"] = config.lambda_t * error
    return made

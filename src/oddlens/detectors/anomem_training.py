"""How AnoMem learns: the stages, the contrast through its memories, the learned distance.

Sections 5 and 7.2 of what is known of the method (see ``anomem``); details named AM-Un are our
choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from oddlens.detectors import anomem_frozen as frozen
from oddlens.detectors.anomem_options import AnoMemOptions
from oddlens.images import ImageCache
from oddlens.networks.deviation_head import DeviationHead, distance_loss
from oddlens.networks.memory import Recall
from oddlens.networks.memory_network import MemoryNetwork
from oddlens.pretext.contrast import contrast, variance_term
from oddlens.pretext.turned import distinct_turns, with_turned
from oddlens.pretext.views import Views
from oddlens.training.optimizers import optimizer_maker
from oddlens.training.stage import Loss, Stage, Watch, cosine

_LEAST_CROP = 0.8
"""Least share of an image that the learned distance sees: no strong crops (section 7.2)."""


def remembering(network: MemoryNetwork, config: AnoMemOptions, loss: Loss, watch: Watch) -> Stage:
    """Encoder, memories and heads together (section 6, AM-U12)."""
    return Stage(
        name="remember",
        module=network,
        loss=loss,
        optimizer=_decaying_weights(network, config),
        schedule=cosine,
        epochs=config.epochs,
        batch_size=config.batch_size,
        share=1 - config.distance_share,
        clip=5.0,
        monitor=watch,
    )


def recalling(network: MemoryNetwork, config: AnoMemOptions) -> Stage:
    """The memories alone, by how well they recall what a frozen encoder sees."""
    return Stage(
        name="remember",
        module=network.memories,
        loss=lambda images, generator: frozen.recall_loss(
            network, images, generator, config.variance_weight
        ),
        optimizer=optimizer_maker("adam", 1e-3, 0.0),
        schedule=cosine,
        epochs=config.epochs,
        most_steps=frozen.MOST_STEPS,
        batch_size=config.batch_size,
        share=1 - config.distance_share,
    )


def measuring(head: DeviationHead, config: AnoMemOptions, loss: Loss) -> Stage:
    """The distance alone; encoder and memories stay as they are (AM-U13, AM-U15)."""
    return Stage(
        name="measure",
        module=head,
        loss=loss,
        optimizer=optimizer_maker("adam", 1e-3, 1e-4),
        schedule=cosine,
        epochs=config.distance_epochs,
        batch_size=config.batch_size,
        share=config.distance_share,
    )


def _decaying_weights(
    network: MemoryNetwork, config: AnoMemOptions
) -> Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]:
    """SGD with Nesterov momentum; memories, norms and biases do not decay."""

    def make(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        kept = {id(memory.prototypes) for memory in network.memories}
        groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
        for each in parameters:
            groups[each.ndim > 1 and id(each) not in kept].append(each)
        return torch.optim.SGD(
            [
                {"params": groups[True], "weight_decay": config.weight_decay},
                {"params": groups[False], "weight_decay": 0.0},
            ],
            lr=config.learning_rate * config.a_step / 256,
            momentum=0.9,
            nesterov=True,
        )

    return make


def with_anomalies(
    images: Tensor, anomalies: ImageCache | None, count: int, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Images and so many labelled anomalies, and which of them are normal, y.

    Args:
        images: normal ones, ``(N, 3, S, S)`` in [0, 1].
        anomalies: to draw from, with repeats; None where there are none.
        count: of anomalies to draw.
        generator: draws them.
    """
    if anomalies is None:
        return images, torch.ones(len(images), dtype=torch.bool, device=images.device)
    drawn = torch.randint(len(anomalies), (count,), generator=generator).tolist()
    odd = anomalies.batch(drawn).to(images.device)
    normal = torch.arange(len(images) + count, device=images.device) < len(images)
    return torch.cat([images, odd]), normal


def contrast_loss(
    network: MemoryNetwork,
    images: Tensor,
    normal: Tensor,
    generator: Generator,
    config: AnoMemOptions,
) -> dict[str, Tensor]:
    """``sum_s lambda_s (L_contrast + lambda_V L_variance)`` over the scales (section 5).

    Args:
        network: encoder, memories and heads.
        images: ``(N, 3, S, S)`` in [0, 1].
        normal: ``(N,)`` bool, y; the others never write into a memory.
        generator: draws the two views of each image.
        config: weights, views, temperature, and whether turned copies take part.
    """
    if config.turned:
        images, normal = with_turned(images, normal, distinct_turns(config.flips))
    views = Views(smallest=config.smallest_crop, flips=config.flips)
    both = torch.cat([views.draw(images, generator) for _ in range(2)])
    contrasts, variances = [], []
    own = normal.repeat(2).nonzero()[:, 0]
    for scale, (features, weight) in enumerate(
        zip(network.features(both), config.weights, strict=True)
    ):
        seen = F.normalize(features.float(), dim=1)
        observed = network.embedded(seen, scale).float()
        recall: Recall = network.memories[scale](features[own])
        recalled = torch.zeros_like(observed).index_copy(
            0, own, network.embedded(recall.recalled, scale).float()
        )
        contrasts.append(
            weight
            * contrast(
                observed,
                recalled if config.memory else None,
                normal,
                temperature=config.temperature,
            )
        )
        flat = recall.recalled.permute(0, 2, 3, 1).flatten(0, 2)
        variances.append(weight * config.variance_weight * variance_term(flat))
    terms = {"contrast": torch.stack(contrasts).sum()}
    if config.memory:
        terms["variance"] = torch.stack(variances).sum()
    return terms


def measured_loss(
    network: MemoryNetwork,
    head: DeviationHead,
    images: Tensor,
    normal: Tensor,
    generator: Generator,
    config: AnoMemOptions,
) -> dict[str, Tensor]:
    """Normal images near, anomalies far (section 7.2).

    Args:
        network: encoder and memories, which learn nothing here.
        head: the learned distance.
        images: ``(N, 3, S, S)`` in [0, 1].
        normal: ``(N,)`` bool.
        generator: draws views, without strong crops.
        config: of the views.
    """
    views = Views(smallest=max(_LEAST_CROP, config.smallest_crop), flips=config.flips)
    with torch.no_grad():
        recalls: Sequence[Recall] = network(views.draw(images, generator))
    distances = head([recall.deviation for recall in recalls])
    return {"distance": distance_loss(distances, normal)}

"""MultiTask: fine-grained anomaly detection via multi-task self-supervision.

Jezequel, Vu, Beaudet, Histace, AVSS 2021, arXiv 2104.09993. One encoder, trained from scratch on
normal images, solves several independent tasks: was the image shifted up or down, left or right,
was it turned, by which permutation were its pieces shuffled? The first three need the shape of the
whole object, the last one its details. What is odd is recognised worse.

The formulas are known to us from a third-party summary; details named MT-Un are our choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Generator, Tensor

from oddlens.detectors.recognition import Recognition
from oddlens.detectors.recognition_options import MultiTaskOptions
from oddlens.options import DetectorOptions
from oddlens.pretext.classification import Task
from oddlens.pretext.geometric import Rotation, Slide, Translation, middle
from oddlens.pretext.jigsaw import Jigsaw, distant_permutations


class MultiTask(Recognition):
    """Independent geometric tasks and a jigsaw on one encoder.

    Args:
        options: see ``MultiTaskOptions``; every option is a keyword. ``preset="compact"`` (default)
            has an encoder for CPUs; ``preset="paper"`` WRN-16-4.
    """

    method: ClassVar[str] = "multitask"
    Options: ClassVar[type[DetectorOptions]] = MultiTaskOptions
    config: MultiTaskOptions

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        config = self.config
        self.permutations: Tensor
        # In the artifact, so that a later version that draws others leaves a model as it is.
        self.register_buffer("permutations", self._drawn())
        self.build({task.name: task.classes for task in self.tasks()}, config)

    def _drawn(self) -> Tensor:
        config = self.config
        if "jigsaw" not in config.tasks:
            return torch.zeros(0, config.grid**2, dtype=torch.int64)
        return torch.tensor(
            distant_permutations(
                config.grid**2,
                config.permutations,
                seed=config.permutation_seed,
                include_identity=config.include_identity,
            )
        )

    def tasks(self) -> list[Task]:
        """The pretext tasks that were asked for, each with its fixed list of transforms."""
        config = self.config
        made: dict[str, Task] = {
            "vertical": self._shifting("vertical"),
            "horizontal": self._shifting("horizontal"),
            "rotation": Rotation(),
            "jigsaw": Jigsaw(
                tuple(map(tuple, self.permutations.tolist())), config.grid, config.gap
            ),
        }
        return [made[name] for name in config.tasks]

    def _shifting(self, name: Literal["vertical", "horizontal"]) -> Translation | Slide:
        config = self.config
        return Slide(name, config.rim) if config.rim else Translation(name, config.pixels)

    def seen(self, images: Tensor, generator: Generator | None) -> dict[str, Tensor]:
        """The features of the transforms of each task, ``(T, N, F)``.

        Tasks that leave the image as it is in one of their transforms share that one: with all four
        there are 11 distinct images instead of 13, in one batch (section 7).
        """
        tasks, whole, count = self.tasks(), images, images.shape[0]
        images = middle(whole, self.config.rim)
        parts: list[Tensor] = [images] if any(task.keeps_first for task in tasks) else []
        places: list[list[int]] = []
        used = len(parts)
        for task in tasks:
            made = task.transforms(whole if isinstance(task, Slide) else images, generator)
            first = [0] if task.keeps_first else []
            parts.append(made[len(first) :].flatten(0, 1))
            places.append([*first, *range(used, used + task.classes - len(first))])
            used += task.classes - len(first)
        pooled = self.network.pooled(torch.cat(parts)).view(used, count, -1)
        return {task.name: pooled[place] for task, place in zip(tasks, places, strict=True)}

    def distinct_images(self) -> Sequence[str]:
        """What the encoder sees of one image: a name for each forward pass."""
        names = ["untouched"] if any(task.keeps_first for task in self.tasks()) else []
        for task in self.tasks():
            names += [f"{task.name} {j}" for j in range(int(task.keeps_first), task.classes)]
        return names

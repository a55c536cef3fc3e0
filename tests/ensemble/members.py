"""Members of ensembles: toys of two kinds and sizes."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from oddlens.scoring import Cues
from tests.toys import Toy

LARGE = 24


class Plain(Toy):
    """A toy that does not localize."""

    method: ClassVar[str] = "plain"

    def cues(self, images: Tensor) -> Cues:
        return Cues({"level": super().cues(images).scores["level"]})


def members() -> list[Toy]:
    return [Toy(), Plain(image_size=LARGE), Toy(image_size=LARGE, learning_rate=0.01)]

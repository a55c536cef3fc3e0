"""MultiCue: efficient anomaly detection using self-supervised multi-cue tasks.

Jezequel, Vu, Beaudet, Histace, IEEE TIP 2023, arXiv 2111.12379. Three cues, learned from normal
images alone: structure (a piece-wise puzzle), colour (by how much was each piece's hue turned?) and
texture (which colours has the centre, given its luminance and the border?). Puzzle and tint share
an encoder and a pass, re-colorization has a U-Net.

The formulas are known to us from a third-party summary; details named MC-Un are our choice.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor, nn

from oddlens.detector import Detector
from oddlens.detectors.multicue_evidence import Evidence, PieceEvidence
from oddlens.detectors.multicue_options import MultiCueOptions, TaskName
from oddlens.detectors.multicue_pieces import Look, PieceTasks, piece_network
from oddlens.detectors.multicue_training import colour_stage, piece_stage, piece_terms
from oddlens.errors import DataError
from oddlens.images import ImageCache
from oddlens.networks.layout import channels_last
from oddlens.networks.mixture import PER_COMPONENT
from oddlens.networks.unet import UNet
from oddlens.options import DetectorOptions
from oddlens.pretext.attention import entropy_share, to_pixels, warn_if_collapsed
from oddlens.pretext.augmentation import varied
from oddlens.pretext.difficulty import warn_of_difficulty
from oddlens.pretext.puzzle import accuracy
from oddlens.pretext.recolorization import (
    CHANNELS,
    chroma,
    colour_nll,
    over_the_whole,
    to_lab,
    visible_part,
)
from oddlens.scoring import Cues
from oddlens.scoring.places import PlaceMoments, Places
from oddlens.training.stage import Stage

Learner = Callable[[Iterable[Tensor]], None]

CUES: dict[TaskName, str] = {
    "puzzle": "structure",
    "tint": "colour",
    "recolorization": "texture",
}
"""The cue of each task."""
GREY = 1.0
"""Mean chroma in Lab below which images count as grey: less than half of a difference that can be
seen, which is about 2.3 (our choice, MC-U18)."""
_MEASURED = 256
"""Training images whose chroma is measured, at most."""


class MultiCue(Detector):
    """Puzzle, tint and re-colorization; detects and localizes.

    On grey training images tint and re-colorization carry no signal: ``prepare`` drops them.

    Args:
        options: see ``MultiCueOptions``; every option is a keyword. ``preset="compact"`` (default)
            has networks for CPUs; ``preset="paper"`` WRN-16-4 and a larger U-Net.
    """

    method: ClassVar[str] = "multicue"
    Options: ClassVar[type[DetectorOptions]] = MultiCueOptions
    config: MultiCueOptions

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        config = self.config
        self.pieces = piece_network(config)
        outputs = PER_COMPONENT * config.components
        self.unet = UNet(CHANNELS, outputs, config.unet_widths, stem=config.unet_stem)
        channels_last(self)
        look = PieceTasks.of(config)
        # In the artifact, so that a later version that draws others leaves a model as it is.
        self.orders: Tensor
        self.turns: Tensor
        self.has_colour: Tensor
        self.register_buffer("orders", look.orders)
        self.register_buffer("turns", look.turns)
        self.register_buffer("has_colour", torch.tensor(True))
        self.evidence = PieceEvidence(config, self.pieces.features)
        side = (config.image_size, config.image_size)
        self.places = nn.ModuleDict({cue: Places(side) for cue in CUES.values()})

    @property
    def active(self) -> tuple[TaskName, ...]:
        """The tasks that were asked for and that the training images have a signal for."""
        grey = not bool(self.has_colour)
        return tuple(name for name in self.config.tasks if name == "puzzle" or not grey)

    @property
    def piece_tasks(self) -> tuple[TaskName, ...]:
        """Those of the discriminative branch."""
        return tuple(name for name in self.active if name != "recolorization")

    # --- training -----------------------------------------------------------------------------

    def prepare(self, train: ImageCache) -> None:
        """Drop the colour tasks where the training images are grey (MC-U18).

        Raises:
            DataError: no task is left.
        """
        sample = train.evenly(_MEASURED)
        measured = torch.cat([chroma(images) for images in self.batches(sample)])
        found = float(measured.double().mean())
        self.has_colour.fill_(found >= GREY)
        self.diagnostics["mean chroma of the training images"] = round(found, 3)
        dropped = [name for name in self.config.tasks if name not in self.active]
        if not dropped:
            return
        named = " and ".join(dropped)
        self.diagnostics["tasks dropped"] = dropped
        if not self.active:
            raise DataError(
                f"the training images are grey (mean chroma {found:.2f}), and {named} learns from "
                'colour alone; add puzzle to the option tasks, as in tasks=["puzzle"]'
            )
        warnings.warn(
            f"the training images are grey (mean chroma {found:.2f}): {named} has nothing to learn "
            "from and is left out",
            UserWarning,
            stacklevel=2,
        )

    def stages(self) -> list[Stage]:
        """Puzzle and tint, then re-colorization, which reads the first one's attention map.

        The branches are trained separately and share nothing (MC-U4).
        """
        config, made = self.config, []
        if self.piece_tasks:
            made.append(piece_stage(self.pieces, config, self.piece_loss, self.monitor_pieces))
        if "recolorization" in self.active:
            made.append(colour_stage(self.unet, config, self.colour_loss, self.monitor_colours))
        return made

    def piece_loss(self, images: Tensor, generator: Generator) -> dict[str, Tensor]:
        """Puzzle, tint and density of the attention, see ``piece_terms``.

        Args:
            images: ``(N, 3, S, S)`` in [0, 1].
            generator: draws mirroring, shifts, permutations, angles and offsets.
        """
        look = self._tasks.drawn(self.pieces, self._varied(images, generator), generator)
        return piece_terms(look, self.config, self.piece_tasks)

    def colour_loss(self, images: Tensor, generator: Generator) -> dict[str, Tensor]:
        """mean(Q NLL) over the centre's pixels; Q is 1 where attention is off.

        Args:
            images: ``(N, 3, S, S)`` in [0, 1].
            generator: draws mirroring and shifts.
        """
        nll, weight = self._colours(self._varied(images, generator))
        return {"recolorization": (weight * nll).mean()}

    def _varied(self, images: Tensor, generator: Generator) -> Tensor:
        return varied(images, self.config.flips, self.config.jitter, generator)

    @property
    def _tasks(self) -> PieceTasks:
        return PieceTasks.of(
            self.config, orders=self.orders, turns=self.turns, active=self.piece_tasks
        )

    def _colours(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """NLL of the centre's pixels and their weights Q, ``(N, S - 2 alpha, S - 2 alpha)``."""
        config = self.config
        with torch.autocast(images.device.type, enabled=False):
            lab = to_lab(images.float())
        output = self.unet(visible_part(lab, config.alpha))
        nll = colour_nll(output, lab, config.alpha, diagonal=config.covariance == "diagonal")
        if config.attention not in ("l", "both") or not self.piece_tasks:
            return nll, torch.ones_like(nll)
        with torch.no_grad():
            attention = self._tasks.untouched(self.pieces, images)
        return nll, to_pixels(attention, config.image_size, config.alpha)

    # --- scoring ------------------------------------------------------------------------------

    def cues(self, images: Tensor) -> Cues:
        """Structure, colour and texture, each with a map.

        The maps of structure and colour are the pieces' scores in their original places, averaged
        over the passes; that of texture is the negative log-likelihood by pixel, extended over the
        border, where there is no evidence, by the nearest value of the centre. With ``places``
        they are deviations from what is normal at each place.

        Args:
            images: ``(N, 3, S, S)`` in [0, 1].
        """
        found = self._unplaced(images)
        maps = {name: self.places[name](each) for name, each in found.maps.items()}
        return Cues(found.scores, maps)

    def _unplaced(self, images: Tensor) -> Cues:
        """Scores, and maps before they are standardised."""
        scores: dict[str, Tensor] = {}
        maps: dict[str, Tensor] = {}
        if self.piece_tasks:
            look = self._tasks.fixed(self.pieces, images)
            for name, evidence in self._judged(look).items():
                scores[name] = evidence.scores.view(-1, images.shape[0]).mean(dim=0)
                maps[name] = self._tasks.located(evidence.pieces, look, images.shape[0])
        if "recolorization" in self.active:
            nll, weight = self._colours(images)
            scores["texture"] = (weight * nll).double().mean(dim=(-2, -1))
            maps["texture"] = over_the_whole(nll, self.config.alpha)
        return Cues(scores, maps)

    def _judged(self, look: Look) -> dict[str, Evidence]:
        found = {}
        if "puzzle" in self.active:
            found["structure"] = self.evidence.structure(look)
        if "tint" in self.active:
            found["colour"] = self.evidence.colour(look)
        return found

    # --- statistics of normal images ----------------------------------------------------------

    def monitor_pieces(self, images: Tensor, generator: Generator) -> dict[str, float]:
        """Accuracy of puzzle and tint and entropy of P (over log n) on images ``(N, 3, S, S)``."""
        look = self._tasks.fixed(self.pieces, images)
        found = {}
        for name, logits, labels in self._answered(look):
            found[f"{name} accuracy"] = accuracy(logits, labels)
        if self.config.attention != "off":
            found["attention entropy"] = float(entropy_share(look.attention).mean())
        return found

    def monitor_colours(self, images: Tensor, generator: Generator) -> dict[str, float]:
        """Mean negative log-likelihood of the centre's colours, unweighted."""
        return {"recolorization nll": float(self._colours(images)[0].mean())}

    def _answered(self, look: Look) -> list[tuple[str, Tensor, Tensor]]:
        """Name, logits and labels of the active classification tasks."""
        every = [("puzzle", look.position, look.order), ("tint", look.tint, look.angle)]
        return [each for each in every if each[0] in self.active]

    def images_to_adapt(self, train: int, tune: int) -> int:
        """Held-out images for the diagnostics; training images for each look at normal ones."""
        return tune + len(self._looks()) * min(train, self.config.statistics_images)

    def _looks(self) -> list[Learner]:
        """What learns of normal images, one after the other, since each needs the one before."""
        looks: list[Learner] = []
        if self.evidence.asks_statistics(self.piece_tasks):
            looks.append(self._learn_answers)
        if self.evidence.asks_scales(self.piece_tasks):
            looks.append(self._learn_scales)
        if self.config.places:
            looks.append(self._learn_places)
        return looks

    def _learn_answers(self, normal: Iterable[Tensor]) -> None:
        moments = self.evidence.moments()
        for images in normal:
            self.evidence.add(moments, self._tasks.fixed(self.pieces, images))
        self.evidence.learn(moments)

    def _learn_scales(self, normal: Iterable[Tensor]) -> None:
        looks = (self._tasks.fixed(self.pieces, images) for images in normal)
        self.evidence.scale(torch.cat([self.evidence.by_image(look) for look in looks]))

    def _learn_places(self, normal: Iterable[Tensor]) -> None:
        moments: dict[str, PlaceMoments] = {}
        for images in normal:
            for name, maps in self._unplaced(images).maps.items():
                moments.setdefault(name, PlaceMoments()).add(maps)
        for name, each in moments.items():
            places = self.places[name]
            assert isinstance(places, Places)
            places.learn(each)

    def adapt(self, train: ImageCache, tune: ImageCache, tell: Callable[[int, int], None]) -> None:
        """Learn what normal images give; measure on held-out ones how well each task is solved.

        A ``UserWarning`` names a task that is too easy or was not learned, and a collapsed map.
        """
        total, done = self.images_to_adapt(len(train), len(tune)), 0

        def told(images: ImageCache) -> Iterator[Tensor]:
            nonlocal done
            for batch in self.batches(images):
                yield batch
                done += len(batch)
                tell(done, total)

        sample = train.evenly(self.config.statistics_images)
        for learn in self._looks():
            learn(told(sample))
        measured: dict[str, float] = {}
        for images in told(tune):
            for key, value in self._monitored(images).items():
                measured[key] = measured.get(key, 0.0) + value * len(images) / len(tune)
        self._tell_of(measured)

    def _monitored(self, images: Tensor) -> dict[str, float]:
        generator = Generator()
        found = self.monitor_pieces(images, generator) if self.piece_tasks else {}
        if "recolorization" in self.active:
            found |= self.monitor_colours(images, generator)
        return found

    def _tell_of(self, measured: dict[str, float]) -> None:
        self.diagnostics["on held-out normals"] = {
            name: round(value, 4) for name, value in measured.items()
        }
        chances = {"puzzle": 1 / self.config.grid**2, "tint": 1 / self.config.angles}
        solved: dict[str, float] = {name: measured[f"{name} accuracy"] for name in self.piece_tasks}
        warn_of_difficulty(solved, chances)
        if "attention entropy" in measured:
            warn_if_collapsed(measured["attention entropy"])

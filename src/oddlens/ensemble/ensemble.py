"""``Ensemble``: several detectors as one, by the p-values of their scores."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import interpolate

from oddlens.artifact import Artifact
from oddlens.detector import Detector, FloatArray, OnBad, Progress
from oddlens.errors import ArtifactError, UsageError
from oddlens.images import (
    ImagesLike,
    ImageSource,
    SizeWatch,
    Skipped,
    open_source,
    stream_views,
)
from oddlens.images.pixels import Pixels
from oddlens.images.prepare import to_tensor
from oddlens.options import DetectorOptions, Preset
from oddlens.scoring import Calibration, Cues, Scored
from oddlens.scoring.tails import log_tails
from oddlens.training import Stage

EnsembleFusion = Literal["fisher", "stouffer", "min_p", "mean", "max"]


class EnsembleOptions(DetectorOptions):
    """Options of an ensemble; those that its members have, they have each for themselves."""

    preset: Preset = Field("compact", exclude=True)
    precision: Literal["auto", "32", "bf16"] = Field("auto", exclude=True)
    standardise: bool = Field(True, exclude=True)
    image_size: int = Field(128, ge=1, description="the largest of the members'")
    fusion: EnsembleFusion = Field("fisher", description="how the members become one score")


class Ensemble(Detector):
    """Several detectors as one: what any of them sees counts, and it is said who objects.

    Each member's score becomes a smooth p-value among held-out normal images
    (``oddlens.scoring.tails``: strictly monotone beyond them as well), so that scores of different
    units are comparable; the p-values are fused (or the standardised scores, see ``fusion``), and
    the fused score is calibrated like every other. The cue of a member, named by its method
    (``ssm``, a second one ``ssm-2``), is ``-log10 p``: 2 says that one normal image in a hundred
    looks so odd to that member.

    **Which images.** The guarantee of ``Calibration`` needs a fused score that does not depend on
    the images that calibrate it. So the p-values may not come from the members' own calibrations,
    on which the ensemble is calibrated after ``fit``: none of those images can be further out than
    they are, while a new normal image is beyond the farthest of some member with a probability of
    up to K / (n + 1) for K members, and not 1 / (n + 1). Nor can members that are already fitted be
    fused without any image, since what they keep does not say which scores belong to one image.
    Instead (our choice; the simplest that is exact) normal images that no member was trained on are
    divided as in every fit: a third scales (the p-values are ranks among them, and scores are
    standardised by them), and the others calibrate. Images that a member was tuned on scale first.
    ``KnownImages`` tells them by their pixels, so that a folder that members were fitted on can be
    given again as a whole.

    Members keep their weights; ``fit`` and ``to`` act on them in place.

    Args:
        members: detectors, fitted or not, each once; no ensembles.
        fusion: ``"fisher"`` (default) adds the logarithms of the p-values, so that one strong
            objection is enough, weak ones add up, and calm members take nothing away;
            ``"stouffer"`` adds normal quantiles, so that calm members weigh against one that
            objects; ``"min_p"`` takes the word of the member that objects most. Two more look at
            how far out a score is, not at how rare: ``"mean"`` averages the members' scores in
            standard deviations of held-out normals, so that a member says more the further out
            it finds an image; ``"max"`` is the largest of them. The default is our choice, for
            members that look at different things.

    Raises:
        UsageError: no member, a member twice or of another kind, an unknown fusion.
    """

    method: ClassVar[str] = "ensemble"
    Options: ClassVar[type[DetectorOptions]] = EnsembleOptions

    def __init__(self, members: Sequence[Detector], *, fusion: EnsembleFusion = "fisher") -> None:
        _check(members)
        super().__init__(image_size=max(each.config.image_size for each in members), fusion=fusion)
        self.members = nn.ModuleList(members)

    @property
    def named_members(self) -> dict[str, Detector]:
        """The members by the names of their cues, in order."""
        members = [member for member in self.members if isinstance(member, Detector)]
        return dict(zip(names_of([each.method for each in members]), members, strict=True))

    # --- learning -----------------------------------------------------------------------------

    def stages(self) -> list[Stage]:
        """None: the members have theirs."""
        return []

    def fit(
        self,
        images: ImagesLike,
        *,
        anomalies: ImagesLike | None = None,
        epochs: int | None = None,
        max_minutes: float | None = None,
        seed: int = 0,
        device: str | torch.device = "auto",
        holdout: float | None = None,
        on_bad: OnBad = "raise",
        checkpoint: str | Path | None = None,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> Self:
        """Fit every member anew on the same images and split, then calibrate the fused score.

        Args and errors are those of ``Detector.fit``, but: ``anomalies`` go to the members that
        learn from them; of ``max_minutes`` nine tenths are for the members (each may use an equal
        share of what is left of them; those that train no network come first), and the rest is for
        calibrating; the checkpoint folder has a folder for each member.
        """
        from oddlens.ensemble.fitting import fit

        fit(
            self,
            open_source(images),
            anomalies=anomalies,
            epochs=epochs,
            max_minutes=max_minutes,
            seed=seed,
            device=device,
            holdout=holdout,
            on_bad=on_bad,
            checkpoint=None if checkpoint is None else Path(checkpoint),
            resume=resume,
            progress=progress,
        )
        return self

    def calibrate(
        self,
        images: ImagesLike,
        *,
        seed: int = 0,
        on_bad: OnBad = "raise",
        progress: Progress | None = None,
    ) -> Self:
        """Calibrate the fused score of members that are fitted.

        Args:
            images: normal images, whatever ``fit`` takes. Those that a member was trained on are
                left out, known by their pixels (so give them as they were given then: re-encoded or
                randomly changed ones are not known again); those that one was tuned on only scale.
            seed: of the draw of those that scale, see the class.
            on_bad: what to do with files that cannot be read as images.
            progress: called with (phase, done, total).

        Returns:
            The ensemble itself. ``fit_report`` counts what was used.

        Raises:
            UsageError: a member is not fitted, or does not know which images it has met.
            DataError: no image is left that no member has met, or unreadable ones.
        """
        from oddlens.ensemble.fitting import calibrate

        calibrate(self, open_source(images), seed=seed, on_bad=on_bad, progress=progress)
        return self

    # --- scoring ------------------------------------------------------------------------------

    def cues(self, images: Tensor) -> Cues:
        """The members' scores of images ``(N, 3, S, S)``, where all members have one image size.

        Raises:
            UsageError: they have several; ``predict`` makes an image for each.
        """
        sizes = self.sizes
        if len(sizes) > 1:
            raise UsageError(f"the members look at images of sizes {sizes}, so one is not enough")
        return self._cues({sizes[0]: images}, maps=True)

    def scored_views(self, views: dict[int, Tensor], *, maps: bool = True) -> Scored:
        """``scored`` of images at every size of ``sizes``: by S, ``(N, 3, S, S)`` in [0, 1]."""
        return self.fused(self._cues(views, maps=maps), maps=maps)

    @property
    def image_sizes(self) -> tuple[int, ...]:
        """``sizes``."""
        return tuple(self.sizes)

    def scored_pixels(self, views: dict[int, Pixels], *, maps: bool = True) -> Scored:
        """See ``Detector.scored_pixels``."""
        return self.scored_views({s: to_tensor(each) for s, each in views.items()}, maps=maps)

    def standings(self, cues: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """The cues themselves: ``-log10 p`` is of one unit already."""
        return dict(cues)

    @property
    def sizes(self) -> list[int]:
        """The members' image sizes, each once, ascending."""
        return sorted({member.config.image_size for member in self.named_members.values()})

    def cues_stream(
        self,
        source: ImageSource,
        *,
        maps: bool,
        on_bad: OnBad,
        skipped: list[Skipped],
        batch_size: int | None = None,
        indices: Sequence[int] | None = None,
    ) -> Generator[tuple[tuple[str, ...], Cues], None, None]:
        """Read images once, show them to each member at its size: names, and raw scores."""
        step = self.batch_size if batch_size is None else batch_size
        batches = stream_views(
            source, self.sizes, step, on_bad=on_bad, skipped=skipped, indices=indices
        )
        with closing(batches):
            for batch in batches:
                yield batch.names, self._cues(batch.views, maps=maps)

    def scored_stream(
        self,
        source: ImageSource,
        *,
        maps: bool,
        on_bad: OnBad,
        skipped: list[Skipped],
        batch_size: int | None = None,
    ) -> Generator[tuple[tuple[str, ...], Scored], None, None]:
        """See ``Detector.scored_stream``; every member sees what it would see alone."""
        watched = SizeWatch(source, self.config.image_size)
        found = self.cues_stream(
            watched, maps=maps, on_bad=on_bad, skipped=skipped, batch_size=batch_size
        )
        with closing(found):
            for names, cues in found:
                yield names, self.fused(cues, maps=maps)
        watched.warn()

    def fused(self, cues: Cues, *, maps: bool = True) -> Scored:
        """Fused score and map; the cues become ``-log10 p`` of each member."""
        scored = super().fused(cues, maps=maps)
        return replace(scored, cues=self._objections(scored.cues))

    def _objections(self, scores: dict[str, FloatArray]) -> dict[str, FloatArray]:
        assert self.standardiser is not None
        reference = self.standardiser.reference
        return {
            name: -log_tails(values, reference[name])[0] / math.log(10)
            for name, values in self.standardiser(scores).items()
        }

    def _cues(self, views: dict[int, Tensor], *, maps: bool) -> Cues:
        """Raw scores by member, and the maps of those that localize, at the largest map's size."""
        scored = {
            name: member.scored(views[member.config.image_size], maps=maps)
            for name, member in self.named_members.items()
        }
        drawn = {
            name: torch.from_numpy(each.maps)
            for name, each in scored.items()
            if each.maps is not None
        }
        height, width = max((each.shape[-2:] for each in drawn.values()), default=(0, 0))
        return Cues(
            {name: torch.from_numpy(each.scores) for name, each in scored.items()},
            {name: _enlarged(each, height, width) for name, each in drawn.items()},
        )

    # --- keeping ------------------------------------------------------------------------------

    def to_artifact(self) -> Artifact:
        """The ensemble's scales, and within it the artifact of each member."""
        from oddlens.ensemble.card import ensemble_card

        return replace(
            super().to_artifact(),
            weights={},
            card=ensemble_card(self),
            members={name: each.to_artifact() for name, each in self.named_members.items()},
        )

    @classmethod
    def from_artifact(cls, artifact: Artifact) -> Self:
        """See ``Detector.from_artifact``."""
        from oddlens.saving import restore

        options = EnsembleOptions.make(artifact.config)
        ensemble = cls([*_members(artifact)], fusion=options.fusion)
        restore(ensemble, artifact)
        return ensemble

    def _fitted(self) -> Calibration:
        if self.calibration is None:
            raise UsageError(
                "this Ensemble is not calibrated: call fit(images), or where its members are "
                "fitted calibrate(images) with normal images that they have not met"
            )
        return self.calibration


def names_of(methods: Sequence[str]) -> list[str]:
    """What the members of these methods are called: ``ssm``, a second one ``ssm-2``."""
    met: Counter[str] = Counter()
    names = []
    for method in methods:
        met[method] += 1
        names.append(method if met[method] == 1 else f"{method}-{met[method]}")
    return names


def _members(artifact: Artifact) -> Iterator[Detector]:
    from oddlens.detectors import get_class

    for name, member in artifact.members.items():
        try:
            yield get_class(member.method).from_artifact(member)
        except (UsageError, RuntimeError, ArtifactError) as error:
            raise type(error)(f"member {name}: {error}") from error


def _enlarged(maps: Tensor, height: int, width: int) -> Tensor:
    """Maps ``(N, H, W)`` at the size of larger ones, bilinear."""
    if maps.shape[-2:] == (height, width):
        return maps
    return interpolate(maps[:, None], (height, width), mode="bilinear", align_corners=False)[:, 0]


def _check(members: Sequence[Detector]) -> None:
    if not members:
        raise UsageError("an ensemble needs at least one detector: Ensemble([SSM(), AnoMem()])")
    for member in members:
        if not isinstance(member, Detector):
            kind = type(member).__name__
            raise UsageError(f"a member of an ensemble is a detector, and not of type {kind}")
        if isinstance(member, Ensemble):
            raise UsageError("an ensemble cannot be a member of another: give its members")
    if len({id(member) for member in members}) < len(members):
        raise UsageError("a detector is given twice: its word would count twice")

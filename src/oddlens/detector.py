"""The contract that every method fulfils, and all that the methods share.

A method writes its options, its ``stages()`` (how it learns) and its ``cues(images)`` (what it
sees); if it needs statistics of normal images after training, also ``adapt``. Fitting, scoring,
predicting, saving and loading are the same for all, and they all go one way:

    images -> cues -> standardised -> fused -> calibrated -> predictions
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from oddlens.errors import UsageError
from oddlens.images import ImageCache, ImagesLike, ImageSource, KnownImages, Skipped
from oddlens.images.pixels import Pixels
from oddlens.images.prepare import to_tensor
from oddlens.options import DetectorOptions, OptionInfo, Preset
from oddlens.predictions import Predictions
from oddlens.scoring import Calibration, Cues, Scored, Standardiser
from oddlens.training import Stage

if TYPE_CHECKING:
    from oddlens.artifact import Artifact

Progress = Callable[[str, int, int], None]
OnBad = Literal["skip", "raise"]
FloatArray = npt.NDArray[np.float64]


class Detector(nn.Module, ABC):
    """A method with its weights.

    Args:
        options: the method's options by keyword, see ``options()``.

    Raises:
        UsageError: an unknown option, or a value out of range.
    """

    method: ClassVar[str]
    learns_from_anomalies: ClassVar[bool] = False
    Options: ClassVar[type[DetectorOptions]] = DetectorOptions
    config: DetectorOptions
    calibration: Calibration | None
    standardiser: Standardiser | None
    map_standardiser: Standardiser | None
    known_images: KnownImages | None  # those that training or tuning looked at
    fit_report: dict[str, Any]
    diagnostics: dict[str, Any]
    provenance: dict[str, Any]

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.config = self.Options.make(options)
        self.calibration = self.standardiser = self.map_standardiser = None
        self.known_images = None
        self.anomalies: ImageCache | None = None  # labelled ones, while fitting
        self.fit_report = {}
        self.diagnostics = {}
        self.provenance = {}

    # --- what a method writes -----------------------------------------------------------------

    def prepare(self, train: ImageCache) -> None:
        """Look at the images before training; nothing, unless overridden.

        Called once a fit (a resumed one too), before ``stages()``, in evaluation mode and without
        gradients. What it decides from the images that training will see goes into buffers.
        """

    @abstractmethod
    def stages(self) -> list[Stage]:
        """The training phases, in order."""

    @abstractmethod
    def cues(self, images: Tensor) -> Cues:
        """The raw evidence in images ``(N, 3, S, S)`` in [0, 1]; higher = more anomalous.

        Called in evaluation mode without gradients. The cues of an image do not depend on the
        other images of the batch.
        """

    def images_to_adapt(self, train: int, tune: int) -> int:
        """How many images ``adapt`` looks at, each time counted, to plan a budget of time.

        Args:
            train: number of images that training saw.
            tune: number of held-out images.
        """
        return 0 if type(self).adapt is Detector.adapt else train + tune

    def adapt(self, train: ImageCache, tune: ImageCache, tell: Callable[[int, int], None]) -> None:
        """Fit whatever statistics of normal images the cues need; nothing, unless overridden.

        What it wants to tell goes into ``diagnostics``, which is kept with the fit report.

        Args:
            train: the images that training saw.
            tune: held-out images, disjoint from the calibration's.
            tell: called with (done, total) images.
        """

    def weighed_cue(self) -> tuple[str, float] | None:
        """A cue with a share of the score of its own, see ``Vote``; asked for once a fit."""
        return None

    def cue_groups(self) -> list[tuple[str, ...]]:
        """Cues that are one kind of evidence, to be measured together as well."""
        return []

    # --- what every method gets ---------------------------------------------------------------

    @classmethod
    def options(cls, preset: Preset = "compact") -> dict[str, OptionInfo]:
        """The method's options: name to (type, default under a preset, help)."""
        return cls.Options.describe(preset)

    @property
    def is_fitted(self) -> bool:
        """Whether the detector can score."""
        return self.calibration is not None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def batch_size(self) -> int:
        """Images scored at a time: as many as fill the caches, no more (our choice)."""
        return 128 if self.device.type == "cuda" else 16

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
        """Learn what normal images look like.

        Args:
            images: normal images: a folder, glob, list of paths, array, tensor or Dataset.
            anomalies: a few labelled anomalies, for methods that learn from them.
            epochs: passes over the images; None for the method's own length.
            max_minutes: end by then, everything included; excludes ``epochs``. What comes after
                training has up to a quarter of it set aside; where it takes longer still, a
                ``UserWarning`` and ``fit_report["over_budget_seconds"]`` say so.
            seed: of all that is random. With ``epochs``, the same seed on the same CPU gives the
                same weights, bit for bit.
            device: ``"auto"``, ``"cpu"``, ``"cuda"`` or a torch device.
            holdout: share of the images kept back for thresholds and calibration, in (0, 0.9];
                None for a fifth, and 2,000 images at most, which sets above 10,000 reach.
            on_bad: what to do with files that cannot be read as images; those skipped are counted
                in ``fit_report["skipped"]`` and named in a ``UserWarning``.
            checkpoint: folder to keep the run in; a full disk costs it, but not the training.
            resume: go on from the checkpoint, where there is one; otherwise it is replaced.
            progress: called with (phase, done, total).

        Returns:
            The detector itself, fitted. Images that are smaller than ``image_size`` are enlarged,
            and a ``UserWarning`` tells how many.

        Raises:
            UsageError: options that clash, or a method that cannot use ``anomalies``.
            DataError: fewer than four images, or unreadable ones.
            TrainingError: the loss is not finite; the last checkpoint from before is kept.
            Interrupted: Ctrl-C; a checkpoint has been kept, if a folder was given.
        """
        from oddlens.fitting import fit

        fit(
            self,
            images,
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

    def score(
        self, images: ImagesLike, *, on_bad: OnBad = "raise", batch_size: int | None = None
    ) -> FloatArray:
        """How odd each image is.

        Args:
            images: whatever ``fit`` takes.
            on_bad: ``"skip"`` leaves unreadable files out, so that fewer scores come back.
            batch_size: images at a time; no score depends on it beyond float32 rounding.

        Returns:
            ``(N,)`` float64, raw, higher = more anomalous.
        """
        return self.predict(images, maps=False, on_bad=on_bad, batch_size=batch_size).scores

    def predict(
        self,
        images: ImagesLike,
        *,
        false_alarm_rate: float = 0.01,
        maps: bool = True,
        on_bad: OnBad = "skip",
        batch_size: int | None = None,
        progress: Progress | None = None,
    ) -> Predictions:
        """Score images, localize what is odd, and decide at a false-alarm rate.

        Memory does not grow with the number of images: maps go to a temporary file. Images that are
        smaller than ``image_size`` are enlarged, with a ``UserWarning``.

        Args:
            images: whatever ``fit`` takes.
            false_alarm_rate: wanted share of normal images that are flagged, in (0, 1);
                ``predictions.threshold`` says what can be guaranteed.
            maps: whether to keep the anomaly maps.
            on_bad: skipped files are listed in ``predictions.skipped``.
            batch_size: images at a time.
            progress: called with ("score", done, total).

        Raises:
            UsageError: the detector is not fitted.
            DataError: no image could be read.
            Interrupted: Ctrl-C; ``partial`` holds the predictions made so far.
        """
        from oddlens.predicting import predict

        return predict(
            self,
            self._fitted(),
            images,
            false_alarm_rate=false_alarm_rate,
            maps=maps,
            on_bad=on_bad,
            batch_size=batch_size,
            progress=progress,
        )

    def scored_stream(
        self,
        source: ImageSource,
        *,
        maps: bool,
        on_bad: OnBad,
        skipped: list[Skipped],
        batch_size: int | None = None,
    ) -> Generator[tuple[tuple[str, ...], Scored], None, None]:
        """Read images and score them, batch by batch: their names, and what ``scored`` says.

        Args:
            source: the images; at the end a ``UserWarning`` tells how many are small.
            maps: whether maps are wanted.
            on_bad: whether an image that cannot be used is left out or ends the stream.
            skipped: receives what was left out.
            batch_size: images at a time; None for ``self.batch_size``.
        """
        from oddlens.predicting import scored_batches

        step = self.batch_size if batch_size is None else batch_size
        yield from scored_batches(
            self, source, maps=maps, on_bad=on_bad, skipped=skipped, batch_size=step
        )

    @property
    def image_sizes(self) -> tuple[int, ...]:
        """The sides of the squares that it looks at, ascending: one, but for ensembles."""
        return (self.config.image_size,)

    def scored_pixels(self, views: dict[int, Pixels], *, maps: bool = True) -> Scored:
        """``scored`` of 8-bit pixels: by size S of ``image_sizes``, uint8 ``(N, S, S, 3)``."""
        (size,) = self.image_sizes
        return self.scored(to_tensor(views[size]), maps=maps)

    def standings(self, cues: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """The cues of N images in one unit, so that one sees which of them objects.

        Args:
            cues: for each cue, ``(N,)`` raw, as in predictions.

        Returns:
            For each cue, ``(N,)``: how many standard deviations of held-out normal images it lies
            above their mean (as it goes into the fusion; raw where a method fuses raw cues).
        """
        assert self.standardiser is not None
        return self.standardiser(cues)

    def scored(self, images: Tensor, *, maps: bool = True) -> Scored:
        """Cues, fused score and, where wanted, fused map of a batch ``(N, 3, S, S)`` in [0, 1]."""
        return self.fused(self.raw_cues(images), maps=maps)

    def fused(self, cues: Cues, *, maps: bool = True) -> Scored:
        """Standardised cues as one score and, where wanted, one map."""
        assert self.standardiser is not None
        values = {name: each.numpy() for name, each in cues.scores.items()}
        scores = self.standardiser.fused(values, self.config.fusion)
        shown = None
        if maps and cues.maps and self.map_standardiser is not None:
            shown = self.map_standardiser.mean_map(
                {name: each.numpy() for name, each in cues.maps.items()}
            )
        return Scored(scores, values, shown)

    def raw_cues(self, images: Tensor) -> Cues:
        """``cues`` in evaluation mode, without gradients, on the detector's device, back on CPU."""
        self.eval()
        with torch.inference_mode():
            found = self.cues(images.to(self.device))
        return Cues(
            {name: each.cpu().double() for name, each in found.scores.items()},
            {name: each.cpu().float() for name, each in found.maps.items()},
        )

    def batches(self, images: ImageCache, size: int | None = None) -> Iterator[Tensor]:
        """The images of a cache in order, on the detector's device, for ``adapt``."""
        step = size or self.batch_size
        for start in range(0, len(images), step):
            yield images.batch(range(start, min(start + step, len(images)))).to(self.device)

    def save(self, path: str | Path) -> Path:
        """Write the fitted detector as an artifact (a folder); replaces an artifact atomically.

        Raises:
            UsageError: the detector is not fitted.
            ArtifactError: it cannot be written; what was there before is untouched.
        """
        from oddlens.artifact import write_artifact

        write_artifact(self.to_artifact(), Path(path))
        return Path(path)

    def to_artifact(self) -> Artifact:
        """What ``save`` writes.

        Raises:
            UsageError: the detector is not fitted.
        """
        from oddlens.saving import to_artifact

        return to_artifact(self, self._fitted())

    @classmethod
    def from_artifact(cls, artifact: Artifact) -> Self:
        """The fitted detector that an artifact holds, on the CPU.

        Raises:
            UsageError, RuntimeError: options or weights that this version does not know.
            ArtifactError: scales that are damaged or missing.
        """
        from oddlens.saving import restore

        detector = cls(**artifact.config)
        detector.load_state_dict(artifact.weights)
        restore(detector, artifact)
        return detector

    def _fitted(self) -> Calibration:
        if self.calibration is None:
            raise UsageError(
                f"this {type(self).__name__} is not fitted: call fit(images) first, "
                "or oddlens.load a saved one"
            )
        return self.calibration


def load(path: str | Path, *, device: str = "auto") -> Detector:
    """Load a saved detector.

    Args:
        path: the artifact's folder.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Raises:
        ArtifactError: it is missing, damaged, of a newer version, or of an unknown method.
    """
    from oddlens.saving import load

    return load(Path(path), device=device)

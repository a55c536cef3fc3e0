"""``Detector.predict`` step by step: read, score, calibrate, write down.

The same steps for a detector and for its exported form, which runs without torch.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Protocol

from oddlens.errors import DataError, Interrupted
from oddlens.images import ImagesLike, ImageSource, Skipped, open_source
from oddlens.images.pixels import Pixels
from oddlens.predictions import FloatArray, Predictions, PredictionWriter
from oddlens.scoring import Calibration, Scored

if TYPE_CHECKING:
    from oddlens.detector import Detector, OnBad, Progress


class Scorer(Protocol):
    """What scores images: a detector, or what was exported of one."""

    @property
    def method(self) -> str:
        """The method's name."""
        ...

    def scored_stream(
        self,
        source: ImageSource,
        *,
        maps: bool,
        on_bad: OnBad,
        skipped: list[Skipped],
        batch_size: int | None = None,
    ) -> Generator[tuple[tuple[str, ...], Scored], None, None]:
        """Read images and score them; see ``Detector.scored_stream``."""
        ...


class PixelScorer(Protocol):
    """What scores images that are decoded already: a detector, or what was exported of one."""

    @property
    def method(self) -> str:
        """The method's name."""
        ...

    @property
    def image_sizes(self) -> tuple[int, ...]:
        """The sides of the squares that it looks at, ascending."""
        ...

    def scored_pixels(self, views: dict[int, Pixels], *, maps: bool = True) -> Scored:
        """Score N images; see ``Detector.scored_pixels``."""
        ...

    def standings(self, cues: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Cues in one unit; see ``Detector.standings``."""
        ...


def predict(
    detector: Scorer,
    calibration: Calibration,
    images: ImagesLike,
    *,
    false_alarm_rate: float,
    maps: bool,
    on_bad: OnBad,
    batch_size: int | None,
    progress: Progress | None,
) -> Predictions:
    """See ``Detector.predict``; ``calibration`` is the detector's own."""
    source = open_source(images)
    threshold = calibration.threshold(false_alarm_rate)
    pixel = (
        calibration.pixel_threshold(false_alarm_rate) if calibration.map_peaks is not None else None
    )
    writer = PredictionWriter(
        threshold, pixel_threshold=pixel, source=source, method=detector.method
    )
    skipped: list[Skipped] = []
    seen = detector.scored_stream(
        source, maps=maps, on_bad=on_bad, skipped=skipped, batch_size=batch_size
    )
    try:
        with closing(seen):
            for names, scored in seen:
                writer.add(
                    names,
                    scored.scores,
                    calibration.p_values(scored.scores),
                    threshold.flags(scored.scores),
                    scored.cues,
                    scored.maps,
                )
                if progress is not None:
                    progress("score", len(writer) + len(skipped), len(source))
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped after {len(writer):,} of {len(source):,} images", writer.finish(skipped)
        ) from None
    if not len(writer):
        raise DataError(
            f"none of the {len(source):,} files could be read as an image; the first: "
            f"{skipped[0].name}: {skipped[0].reason}"
            if skipped
            else "there is no image to score"
        )
    if progress is not None and skipped:
        progress("score", len(source), len(source))
    return writer.finish(skipped)


def scored_batches(
    detector: Detector,
    source: ImageSource,
    *,
    maps: bool,
    on_bad: OnBad,
    skipped: list[Skipped],
    batch_size: int,
) -> Generator[tuple[tuple[str, ...], Scored], None, None]:
    """What ``Detector.scored_stream`` yields of a detector that looks at one size."""
    from oddlens.images import SizeWatch, stream  # torch, which exported detectors do without

    size = detector.config.image_size
    watched = SizeWatch(source, size)
    with closing(stream(watched, size, batch_size, on_bad=on_bad, skipped=skipped)) as batches:
        for batch in batches:
            yield batch.names, detector.scored(batch.images, maps=maps)
    watched.warn()

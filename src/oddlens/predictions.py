"""Predictions: what a detector says of each image, and the ways to write it down."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from oddlens.errors import DataError, UsageError
from oddlens.files import open_to_write
from oddlens.map_store import Map, MapStore

if TYPE_CHECKING:
    from oddlens.images import ImageSource, Skipped
    from oddlens.scoring import Threshold

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

DIVERGED = "the detector has diverged, fit it again"


@dataclass(frozen=True)
class Prediction:
    """What a detector says of one image.

    Attributes:
        name: the image's path, or "image 17" for an item of an array.
        score: higher = more anomalous; raw, any range.
        p_value: in (0, 1], the share of normal images expected to score as high (see
            ``oddlens.scoring.calibration``).
        is_anomaly: whether the score is above the threshold.
        cues: the raw evidence that was fused, by cue.
        map: (H, W) float32 at the detector's image size, higher = more anomalous, or None.
    """

    name: str
    score: float
    p_value: float
    is_anomaly: bool
    cues: dict[str, float] = field(hash=False)
    map: Map | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, eq=False, repr=False)
class Predictions(Sequence[Prediction]):
    """The predictions of N images, in the order of the images.

    ``predictions[3]`` and iteration give ``Prediction``; a slice, a boolean or an integer array
    gives ``Predictions`` (``predictions[predictions.is_anomaly]``). Maps are read from disk when
    asked for, one at a time; the arrays below need no disk.

    Attributes:
        names: N paths or "image 17".
        scores: (N,) float64, higher = more anomalous.
        p_values: (N,) float64 in (0, 1].
        is_anomaly: (N,) bool, ``scores > threshold.value``.
        cues: for each cue, (N,) float64, raw.
        threshold: the image threshold and the false-alarm rate that it guarantees.
        pixel_threshold: the same for the pixels of the maps, or None without maps.
        maps: N maps, (H, W) float32 each, or None.
        skipped: the images that could not be read, with the reason.
        source: where the images can be read again, or None.
        method: the method that scored them, such as "ssm".
    """

    names: list[str]
    scores: FloatArray
    p_values: FloatArray
    is_anomaly: BoolArray
    cues: dict[str, FloatArray]
    threshold: Threshold
    pixel_threshold: Threshold | None = None
    maps: MapStore | None = None
    skipped: list[Skipped] = field(default_factory=list)
    source: ImageSource | None = None
    method: str = ""

    def __post_init__(self) -> None:
        for what, column in self._columns().items():
            if len(column) != len(self.names):
                raise UsageError(f"{what}: {len(column)} values for {len(self.names)} images")

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Prediction: ...

    @overload
    def __getitem__(
        self, index: slice | BoolArray | npt.NDArray[np.integer[Any]]
    ) -> Predictions: ...

    def __getitem__(
        self, index: int | slice | BoolArray | npt.NDArray[np.integer[Any]]
    ) -> Prediction | Predictions:
        if isinstance(index, slice | np.ndarray):
            return self._take(np.arange(len(self))[index])
        return Prediction(
            self.names[index],
            float(self.scores[index]),
            float(self.p_values[index]),
            bool(self.is_anomaly[index]),
            {name: float(values[index]) for name, values in self.cues.items()},
            None if self.maps is None else self.maps[index],
        )

    def sorted_by_score(self) -> Predictions:
        """The same predictions, most anomalous first; equal scores keep their order."""
        return self._take(np.argsort(-self.scores, kind="stable"))

    def to_csv(self, path: str | Path) -> None:
        """Write one line an image: ``path, score, p_value, is_anomaly``, then ``cue.<name>``.

        Numbers are written so that they read back exactly; ``is_anomaly`` is ``true`` or ``false``.

        Raises:
            OddlensError: the file cannot be written; a file that was there before is untouched.
        """
        columns = [self.names, self.scores.tolist(), self.p_values.tolist()]
        columns.append(["true" if flag else "false" for flag in self.is_anomaly])
        columns += [values.tolist() for values in self.cues.values()]
        with open_to_write(path) as file:
            writer = csv.writer(file, lineterminator="\n")
            cues = [f"cue.{name}" for name in self.cues]
            writer.writerow(["path", "score", "p_value", "is_anomaly", *cues])
            writer.writerows(zip(*columns, strict=True))

    def to_json(self, path: str | Path) -> None:
        """Write everything but the maps as one strict JSON object.

        Its keys: ``method``, ``threshold`` and ``pixel_threshold`` (with ``message``),
        ``predictions`` (a list of ``path, score, p_value, is_anomaly, cues``), ``skipped`` (a list
        of ``path, reason``).

        Raises:
            OddlensError: the file cannot be written; a file that was there before is untouched.
        """
        rows = zip(
            self.names,
            self.scores.tolist(),
            self.p_values.tolist(),
            self.is_anomaly.tolist(),
            strict=True,
        )
        cues = {name: values.tolist() for name, values in self.cues.items()}
        content = {
            "method": self.method,
            "threshold": _threshold_json(self.threshold),
            "pixel_threshold": _threshold_json(self.pixel_threshold),
            "predictions": [
                {
                    "path": name,
                    "score": score,
                    "p_value": p_value,
                    "is_anomaly": flag,
                    "cues": {cue: values[i] for cue, values in cues.items()},
                }
                for i, (name, score, p_value, flag) in enumerate(rows)
            ],
            "skipped": [{"path": item.name, "reason": item.reason} for item in self.skipped],
        }
        with open_to_write(path) as file:
            json.dump(content, file, allow_nan=False, indent=1)
            file.write("\n")

    def save_maps(self, folder: str | Path) -> list[Path]:
        """Write the anomaly maps as pictures; see ``oddlens.map_pictures.save_maps``."""
        from oddlens.map_pictures import save_maps

        return save_maps(self, Path(folder))

    def report(
        self,
        path: str | Path,
        labels: Any = None,
        masks: Any = None,
        title: str | None = None,
        note: str | None = None,
    ) -> Path:
        """Write one self-contained HTML file; the arguments are ``oddlens.report``'s."""
        from oddlens.report import write_report

        return write_report(self, path, labels=labels, masks=masks, title=title, note=note)

    def __repr__(self) -> str:
        parts = [
            f"{len(self):,} images",
            f"{int(self.is_anomaly.sum()):,} flagged above {self.threshold.value:.4g} "
            f"(false alarms guaranteed <= {self.threshold.guaranteed:.3g} "
            f"by {self.threshold.count:,} held-out normals)",
        ]
        if len(self):
            parts.append(f"scores {self.scores.min():.4g} to {self.scores.max():.4g}")
        parts.append(f"cues {', '.join(self.cues) or 'none'}")
        parts.append("no maps" if self.maps is None else "with maps")
        if self.skipped:
            parts.append(f"{len(self.skipped):,} skipped")
        return f"Predictions({self.method or 'unknown method'}: {'; '.join(parts)})"

    def _columns(self) -> dict[str, Sequence[object] | npt.NDArray[Any]]:
        columns: dict[str, Sequence[object] | npt.NDArray[Any]] = {
            "scores": self.scores,
            "p_values": self.p_values,
            "is_anomaly": self.is_anomaly,
        }
        columns |= {f"cue {name!r}": values for name, values in self.cues.items()}
        return columns if self.maps is None else columns | {"maps": self.maps}

    def _take(self, indices: npt.NDArray[np.intp]) -> Predictions:
        return Predictions(
            [self.names[i] for i in indices],
            self.scores[indices],
            self.p_values[indices],
            self.is_anomaly[indices],
            {name: values[indices] for name, values in self.cues.items()},
            self.threshold,
            self.pixel_threshold,
            None if self.maps is None else self.maps.take(indices),
            self.skipped,
            self.source,
            self.method,
        )


class PredictionWriter:
    """Builds ``Predictions`` batch by batch, with the maps going straight to disk.

    Args:
        threshold: the image threshold.
        pixel_threshold: the pixel threshold, or None.
        source: where the images can be read again, or None.
        method: the method's name.
    """

    def __init__(
        self,
        threshold: Threshold,
        *,
        pixel_threshold: Threshold | None = None,
        source: ImageSource | None = None,
        method: str = "",
    ) -> None:
        self._threshold = threshold
        self._pixel_threshold = pixel_threshold
        self._source = source
        self._method = method
        self._batches: list[Predictions] = []
        self._maps: MapStore | None = None

    def __len__(self) -> int:
        """The number of images added so far."""
        return sum(len(batch) for batch in self._batches)

    def add(
        self,
        names: Sequence[str],
        scores: npt.ArrayLike,
        p_values: npt.ArrayLike,
        is_anomaly: npt.ArrayLike,
        cues: Mapping[str, npt.ArrayLike],
        maps: npt.ArrayLike | None = None,
    ) -> None:
        """Add one batch; after an error the writer is as it was before the call.

        Args:
            names: n paths or "image 17".
            scores: (n,) finite; arrays or CPU tensors, here and below.
            p_values: (n,).
            is_anomaly: (n,) bool.
            cues: for each cue, (n,) finite, the same cues in every call.
            maps: (n, H, W) float32, or None; in every call or in none.

        Raises:
            DataError: a score, cue or map is not finite; the message names the image.
            UsageError: columns of different lengths, other cues than before, or maps in some calls
                only.
            OddlensError: the disk for the maps is full.
        """
        batch = Predictions(
            list(names),
            _finite(scores, "score", names),
            np.asarray(p_values, dtype=np.float64).copy(),
            np.asarray(is_anomaly, dtype=np.bool_).copy(),
            {name: _finite(values, f"cue {name!r}", names) for name, values in cues.items()},
            self._threshold,
        )
        if self._batches and batch.cues.keys() != self._batches[0].cues.keys():
            raise UsageError(
                f"cues {list(batch.cues)} were added after {list(self._batches[0].cues)}"
            )
        if self._batches and (maps is None) != (self._maps is None):
            raise UsageError("maps must be added with every batch or with none")
        if maps is not None:
            self._add_maps(np.asarray(maps, dtype=np.float32), batch.names)
        self._batches.append(batch)

    def _add_maps(self, maps: Map, names: Sequence[str]) -> None:
        if maps.ndim != 3 or len(maps) != len(names):
            raise UsageError(f"maps of shape {maps.shape} for {len(names)} images")
        bad = np.flatnonzero(~np.isfinite(maps).all(axis=(1, 2)))
        if bad.size:
            raise DataError(f"{names[bad[0]]}: its map has pixels that are not finite; {DIVERGED}")
        if self._maps is None:
            self._maps = MapStore()
        self._maps.extend(maps)

    def finish(self, skipped: Sequence[Skipped] = ()) -> Predictions:
        """What was added so far; more can be added afterwards without changing it.

        Args:
            skipped: the images that could not be read.
        """
        batches = self._batches
        cues = list(batches[0].cues) if batches else []
        return Predictions(
            [name for batch in batches for name in batch.names],
            _joined([batch.scores for batch in batches]),
            _joined([batch.p_values for batch in batches]),
            np.concatenate([np.empty(0, np.bool_), *(batch.is_anomaly for batch in batches)]),
            {cue: _joined([batch.cues[cue] for batch in batches]) for cue in cues},
            self._threshold,
            self._pixel_threshold,
            # Ctrl-C may have come between the maps of a batch and the rest of it.
            None if self._maps is None else self._maps[: len(self)],
            list(skipped),
            self._source,
            self._method,
        )


def _joined(arrays: list[FloatArray]) -> FloatArray:
    return np.concatenate([np.empty(0, np.float64), *arrays])


def _finite(values: npt.ArrayLike, what: str, names: Sequence[str]) -> FloatArray:
    array = np.asarray(values, dtype=np.float64).copy()
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size and array.shape == (len(names),):
        raise DataError(f"{names[bad[0]]}: its {what} is {array[bad[0]]}; {DIVERGED}")
    return array


def _threshold_json(threshold: Threshold | None) -> dict[str, Any] | None:
    return None if threshold is None else asdict(threshold) | {"message": threshold.message}

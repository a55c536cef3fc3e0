"""One trial: fit a detector, score the test split, and write down all that is to be told of it."""

from __future__ import annotations

import functools
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import oddlens
from oddlens.ensemble.making import config_of, make
from oddlens.errors import DataError
from oddlens.evaluation.cue_sets import cue_set_aurocs
from oddlens.evaluation.intervals import delong_interval
from oddlens.evaluation.kept_scores import KeptScores, keep_scores
from oddlens.evaluation.metrics import auroc
from oddlens.evaluation.origin import (
    checkout,
    origin,
    peak_gpu_mib,
    peak_memory_mib,
    restart_peak_memory,
)
from oddlens.evaluation.protocols import Tested, TestSet, Trial, get_protocol
from oddlens.evaluation.protocols.base import limited
from oddlens.evaluation.records import Record, TrialMetrics
from oddlens.images import open_source
from oddlens.images.catalogue import ClassData, open_data
from oddlens.jsonable import plain

if TYPE_CHECKING:
    from oddlens.predictions import Predictions

Progress = Callable[[str, int, int], None]
_PACKAGE = str(Path(oddlens.__file__).parent)


@functools.lru_cache(maxsize=1)
def load_data(name: str, root: Path | None) -> ClassData:
    """The data set, read once for all trials of a process; see ``open_data``."""
    return open_data(name, root)


def run_trial(
    trial: Trial,
    *,
    command: str = "",
    jobs: int = 1,
    scores: Path | None = None,
    progress: Progress | None = None,
) -> Record:
    """Fit and test.

    Args:
        trial: what to measure.
        command: that was given, for the record.
        jobs: how many trials share the machine, for the record.
        scores: a folder to keep the scores of each image in, or None.
        progress: called with (phase, done, total).

    Raises:
        OddlensError: the data or options cannot be used, or training failed.
        KeyboardInterrupt: Ctrl-C; nothing of this trial is kept.
    """
    checkout()
    data = load_data(trial.data, trial.root)
    protocol = get_protocol(trial.protocol, trial.setting, trial.places)
    images = protocol.images(data, trial.target, trial.seed)
    test = limited(images.test, trial.test_limit)
    _refuse_one_sided(test, trial)
    detector = make(trial.method, trial.options)
    restart_peak_memory()
    with _heard() as told:
        start = time.perf_counter()
        detector.fit(
            images.train,
            anomalies=images.anomalies,
            epochs=trial.epochs,
            max_minutes=trial.minutes,
            seed=trial.seed,
            device=trial.device,
            progress=progress,
        )
        fitted = time.perf_counter()
        predictions = detector.predict(test.images, maps=protocol.maps, progress=progress)
        scored = time.perf_counter()
    places = _predicted(test, predictions)
    labels, kinds = test.labels[places], np.array(list(test.kinds))[places]
    interval = delong_interval(predictions.scores, labels)
    assert detector.calibration is not None
    kept = KeptScores(predictions.scores, labels, places)
    tested = Tested(trial.target, predictions, labels, kinds.tolist(), detector.calibration)
    return Record(
        protocol=trial.protocol,
        data=data.name,
        data_note=data.note,
        data_sha256=trial.data_sha256,
        target=trial.target,
        setting=plain(trial.setting),
        method=trial.method,
        options=plain(trial.options),
        config=config_of(detector),
        seed=trial.seed,
        minutes=trial.minutes,
        epochs=trial.epochs,
        test_limit=trial.test_limit,
        metrics=TrialMetrics(
            image_auroc=auroc(predictions.scores, labels),
            image_auroc_low=interval.low,
            image_auroc_high=interval.high,
            n_train=len(images.train),
            n_normal=int((~labels).sum()),
            n_anomalous=int(labels.sum()),
            n_skipped=len(predictions.skipped),
            ms_per_image=1000 * (scored - fitted) / len(predictions),
        ),
        more_metrics=protocol.metrics(data, tested),
        cue_aurocs={name: auroc(values, labels) for name, values in predictions.cues.items()},
        cue_set_aurocs=cue_set_aurocs(detector, predictions.cues, labels),
        by_kind=_by_kind(predictions.scores, labels, kinds),
        fit_seconds=round(fitted - start, 2),
        steps=int(detector.fit_report["steps"]),
        peak_memory_mib=peak_memory_mib(),
        peak_gpu_mib=peak_gpu_mib(detector.device),
        diagnostics=plain(detector.diagnostics),
        fit=plain(detector.fit_report),
        warnings=list(dict.fromkeys(told)),
        scores="" if scores is None else keep_scores(scores, trial.key, kept),
        provenance=origin(detector.device, command=command, jobs=jobs),
    )


def _refuse_one_sided(test: TestSet, trial: Trial) -> None:
    """Say before training, not after it, that there will be no interval."""
    normal, anomalous = int((~test.labels).sum()), int(test.labels.sum())
    if min(normal, anomalous) < 2:
        raise DataError(
            f"{trial.data}, {trial.target}: has {normal} normal and {anomalous} anomalous test "
            "images, but an AUROC with its interval needs two of each"
        )


def _predicted(test: TestSet, predictions: Predictions) -> NDArray[np.int64]:
    """The places in the test set of the images that were predicted, without skipped ones."""
    left_out = {item.name for item in predictions.skipped}
    source = open_source(test.images)
    kept = [at for at in range(len(source)) if source.name(at) not in left_out]
    return np.array(kept, dtype=np.int64)


def _by_kind(
    scores: NDArray[np.float64], labels: NDArray[np.bool_], kinds: NDArray[np.str_]
) -> dict[str, float]:
    """AUROC of each kind of anomaly against all normal images."""
    return {
        str(kind): auroc(scores[chosen], labels[chosen])
        for kind in np.unique(kinds[labels])
        for chosen in [~labels | (kinds == kind)]
    }


@contextmanager
def _heard() -> Iterator[Sequence[str]]:
    """Collect what oddlens warns of; what other libraries tell their developers is left out."""
    told: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield told
    told += [str(each.message) for each in caught if each.filename.startswith(_PACKAGE)]

"""What Prometheus reads: counts, latencies, scores, the share that was flagged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from oddlens.serving.models import Model

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_P_VALUES = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1)
_QUANTILES = (0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1)
_BEYOND = (1, 3, 10)


class Metrics:
    """The service's own registry: nothing of other parts of the process, and one for each app."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._scores = _Scores()
        self._registry.register(self._scores)
        registry = self._registry
        self._requests = Counter(
            "oddlens_requests", "Requests.", ["path", "status"], registry=registry
        )
        self._latency = Histogram(
            "oddlens_request_seconds",
            "From the first byte to the answer.",
            ["path"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._images = Counter(
            "oddlens_images",
            "Images, by what became of them.",
            ["model", "outcome"],
            registry=registry,
        )
        self._flagged = Counter(
            "oddlens_flagged", "Images above the threshold.", ["model"], registry=registry
        )
        self._p_values = Histogram(
            "oddlens_p_value",
            "P-values: even over (0, 1] while images are normal ones.",
            ["model"],
            buckets=_P_VALUES,
            registry=registry,
        )
        self._batch = Histogram(
            "oddlens_batch_images",
            "Images in one pass of a model.",
            ["model"],
            buckets=(1, 2, 4, 8, 16, 32, 64, 128),
            registry=registry,
        )
        self._pass = Histogram(
            "oddlens_pass_seconds",
            "One pass of a model.",
            ["model"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._waiting = Gauge(
            "oddlens_waiting_images", "Images that wait or are scored.", registry=registry
        )
        self._reloads = Counter(
            "oddlens_reloads", "Reloads.", ["model", "outcome"], registry=registry
        )
        self._model = Gauge(
            "oddlens_model_info",
            "What is served; always 1.",
            ["model", "method", "version", "sha256"],
            registry=registry,
        )
        self._served: dict[str, tuple[str, ...]] = {}

    def serve(self, model: Model) -> None:
        """A model is served from now on."""
        labels = (model.name, model.scorer.method, model.version, model.sha256)
        before = self._served.pop(model.name, None)
        if before is not None:
            self._model.remove(*before)
        self._served[model.name] = labels
        self._model.labels(*labels).set(1)
        self._scores.serve(model)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """A request has its answer; ``path`` is a route, not what was asked for."""
        self._requests.labels(path, str(status)).inc()
        self._latency.labels(path).observe(seconds)

    def scored(self, model: Model, score: float, p_value: float, *, flagged: bool) -> None:
        """An image has its score."""
        self._images.labels(model.name, "scored").inc()
        self._p_values.labels(model.name).observe(p_value)
        self._scores.observe(model, score, flagged=flagged)
        if flagged:
            self._flagged.labels(model.name).inc()

    def refused_image(self, model: str, code: str) -> None:
        """An image could not be scored."""
        self._images.labels(model, code).inc()

    def passed(self, model: str, images: int, seconds: float) -> None:
        """A model has scored a batch."""
        self._batch.labels(model).observe(images)
        self._pass.labels(model).observe(seconds)

    def waiting(self, images: int) -> None:
        """So many images wait or are scored now."""
        self._waiting.set(images)

    def reloaded(self, model: str, *, ok: bool) -> None:
        """A model was loaded anew, or could not be."""
        self._reloads.labels(model, "done" if ok else "failed").inc()

    def page(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)


@dataclass
class _Histogram:
    """Counts of a model's scores up to each bound; the last one is for all."""

    sha256: str
    bounds: list[float]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0
    flagged: int = 0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)


class _Scores(Collector):
    """A histogram of scores for each model, with bounds of its own.

    Scores have any unit, so the bounds are quantiles of the held-out normal images' scores, and
    three beyond the highest of them (our choice: 1, 3 and 10 times the way from their median).
    """

    def __init__(self) -> None:
        self._models: dict[str, _Histogram] = {}

    def serve(self, model: Model) -> None:
        """Begin anew for a model: another model's scores are of another unit."""
        held_out = model.calibration.scores
        inner = np.quantile(held_out, _QUANTILES)
        reach = max(float(held_out[-1] - np.median(held_out)), 1e-9)
        beyond = held_out[-1] + reach * np.array(_BEYOND)
        bounds = [float(f"{each:.6g}") for each in (*inner, *beyond)]
        self._models[model.name] = _Histogram(model.sha256, sorted(set(bounds)))

    def observe(self, model: Model, score: float, *, flagged: bool) -> None:
        """Count a score, unless its model has been replaced meanwhile."""
        histogram = self._models[model.name]
        if histogram.sha256 != model.sha256:
            return
        histogram.counts[int(np.searchsorted(histogram.bounds, score))] += 1
        histogram.total += score
        histogram.flagged += flagged

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """Nothing: models come later."""
        return []

    def collect(self) -> Iterable[HistogramMetricFamily | GaugeMetricFamily]:
        """One histogram a model, and the share flagged."""
        scores = HistogramMetricFamily(
            "oddlens_score", "Scores since the model was loaded.", labels=["model"]
        )
        share = GaugeMetricFamily(
            "oddlens_flagged_share",
            "Share of images above the threshold since the model was loaded.",
            labels=["model"],
        )
        for name, histogram in self._models.items():
            summed = np.cumsum(histogram.counts).tolist()
            names = [*map(repr, histogram.bounds), "+Inf"]
            buckets = [(name, float(count)) for name, count in zip(names, summed, strict=True)]
            scores.add_metric([name], buckets, histogram.total)
            if summed[-1]:
                share.add_metric([name], histogram.flagged / summed[-1])
        return [scores, share]

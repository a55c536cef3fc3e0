"""Records of trials as a table: mean and deviation over seeds, and the mean over classes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from statistics import fmean, stdev
from typing import Any

from oddlens.ensemble.ensemble import names_of
from oddlens.evaluation.protocols import PROTOCOLS, get_protocol
from oddlens.evaluation.records import Record
from oddlens.images.catalogue import CATALOGUE


@dataclass(frozen=True)
class Spread:
    """Values of several seeds.

    Attributes:
        mean: of them.
        deviation: sample standard deviation; None of a single one.
        seeds: which, sorted.
    """

    mean: float
    deviation: float | None
    seeds: tuple[int, ...]

    @classmethod
    def over(cls, by_seed: dict[int, float]) -> Spread:
        """Of one value a seed, at least one."""
        values = list(by_seed.values())
        deviation = stdev(values) if len(values) > 1 else None
        return cls(fmean(values), deviation, tuple(sorted(by_seed)))


@dataclass(frozen=True)
class Configuration:
    """What records must share to stand in one table.

    Attributes:
        protocol, data, data_note, data_sha256, method, minutes, epochs, test_limit: as in
            ``Record``; the hash is empty where each target has its own.
        setting: as in ``Record``, as JSON text.
        options: likewise.
        config: likewise; defaults change with versions. An option that a version added does not
            part records that it would not have changed.
        device: the GPU's name or ``cpu``: the tiers are never mixed.
        precision: ``"32"`` where minutes were spent in float32, which buy fewer steps than in
            bfloat16 (a third of them, or three quarters). Empty elsewhere, and where the length
            was not in minutes.
    """

    protocol: str
    data: str
    data_note: str
    data_sha256: str
    setting: str
    method: str
    options: str
    config: str
    minutes: float | None
    epochs: int | None
    test_limit: int | None
    device: str
    precision: str = ""

    @classmethod
    def of(cls, record: Record) -> Configuration:
        """The configuration of one record."""
        # Records from before it was told are taken for bfloat16 unless float32 was asked for.
        told = record.fit.get("precision", record.config.get("precision"))
        slow = record.minutes is not None and told == "32"
        labelled = record.fit.get("labelled_anomalies", 0) > 0
        return cls(
            record.protocol,
            record.data,
            record.data_note,
            "" if _hashes_targets(record.protocol) else record.data_sha256,
            json.dumps(record.setting, sort_keys=True),
            record.method,
            json.dumps(record.options, sort_keys=True),
            json.dumps(filled(record.method, record.config, labelled=labelled), sort_keys=True),
            record.minutes,
            record.epochs,
            record.test_limit,
            str(record.provenance.get("hardware", {}).get("device", "cpu")),
            "32" if slow else "",
        )


_LATER: dict[str, dict[str, Any]] = {
    "anomem": {"collapse": "refuse", "distance_weight": "auto", "mirrored": False},
    "multitask": {"rim": 0},
}
"""Options that were added when there were records, at the values that leave those as they are."""
_OF_FROZEN = ("subject", "scaled_by", "judged_by", "mirrored")
"""AnoMem's options that say nothing with an encoder that is trained."""
_TRAINED = ("compact", "resnet18")
_OF_ANOMALIES = ("distance_weight",)
"""Options that say nothing where no anomaly is labelled, and elsewhere changed the score."""


def filled(method: str, config: Mapping[str, Any], *, labelled: bool) -> dict[str, Any]:
    """A configuration in which options that came later, and change nothing for it, are filled in.

    Those that say nothing for it are left out. Of an ensemble, member by member.

    Args:
        method: by name, or the members' names with commas.
        config: as it was recorded.
        labelled: whether there were labelled anomalies.
    """
    if "," not in method:
        return _filled_options(method, config, labelled=labelled)
    methods = method.split(",")
    member = dict(zip(names_of(methods), methods, strict=True))
    return {
        name: _filled_options(member.get(name, ""), options, labelled=labelled)
        for name, options in config.items()
    }


def _filled_options(method: str, config: Mapping[str, Any], *, labelled: bool) -> dict[str, Any]:
    later = {
        name: value
        for name, value in _LATER.get(method, {}).items()
        if not (labelled and name in _OF_ANOMALIES)
    }
    idle = _OF_FROZEN if config.get("encoder") in _TRAINED else ()
    return {**later, **{name: value for name, value in config.items() if name not in idle}}


def _hashes_targets(protocol: str) -> bool:
    return protocol in PROTOCOLS and get_protocol(protocol).hashes_targets


@dataclass(frozen=True)
class Summary:
    """The table of one configuration.

    Attributes:
        configuration: whose.
        classes: AUROC of each class over its seeds, in the data set's order, or where the catalogue
            does not know it in order of first appearance.
        mean: of the classes' AUROC, over those seeds for which every class in the table is there;
            None where there is no such seed.
        mean_of_means: mean over the classes of their means, whatever seeds each has.
        cues: the mean over all records of the AUROC of each cue alone.
        records: all of them.
    """

    configuration: Configuration
    classes: dict[str, Spread]
    mean: Spread | None
    mean_of_means: float
    cues: dict[str, float]
    records: tuple[Record, ...]


def summarise(records: Iterable[Record]) -> list[Summary]:
    """Make a table for each configuration, in order of first appearance.

    Of two records of one class and seed, the later counts.

    Args:
        records: of any trials.
    """
    groups: dict[Configuration, dict[tuple[str, int], Record]] = {}
    for record in records:
        group = groups.setdefault(Configuration.of(record), {})
        group[record.target, record.seed] = record
    return [_summary(key, list(group.values())) for key, group in groups.items()]


def _summary(configuration: Configuration, records: Sequence[Record]) -> Summary:
    by_class: dict[str, dict[int, float]] = {}
    for record in records:
        by_class.setdefault(record.target, {})[record.seed] = record.metrics.image_auroc
    whole = set.intersection(*({*by_seed} for by_seed in by_class.values()))
    means = {seed: fmean(by_seed[seed] for by_seed in by_class.values()) for seed in whole}
    names = _in_order(list(by_class), configuration.data)
    classes = {name: Spread.over(by_class[name]) for name in names}
    cues: dict[str, list[float]] = {}
    for record in records:
        for name, value in record.cue_aurocs.items():
            cues.setdefault(name, []).append(value)
    return Summary(
        configuration,
        classes,
        Spread.over(means) if means else None,
        fmean(spread.mean for spread in classes.values()),
        {name: fmean(values) for name, values in cues.items()},
        tuple(records),
    )


def _in_order(names: Sequence[str], data: str) -> list[str]:
    known = CATALOGUE[data].classes if data in CATALOGUE else ()
    return [*(name for name in known if name in names), *(n for n in names if n not in known)]


@dataclass(frozen=True)
class Published:
    """A number that others published.

    Attributes:
        protocol, data: what it is of.
        who: the method.
        mean: AUROC of images, in [0, 1]; None where it is not told.
        classes: AUROC by class, where known.
        source: where the number is from.
        note: what makes it differ from ours.
        setting: of the protocol, as in ``Record``, as far as it is told.
        pretrained: whether it rests on weights that other images taught.
        of: what ``mean`` and ``more`` are of.
        more: other metrics in [0, 1], named as in ``Record.more_metrics``.
    """

    protocol: str
    data: str
    who: str
    mean: float | None
    source: str
    classes: dict[str, float]
    note: str = ""
    setting: dict[str, Any] = field(default_factory=dict)
    pretrained: bool = False
    of: str = "all classes"
    more: dict[str, float] = field(default_factory=dict)


@cache
def _all_published() -> tuple[Published, ...]:
    text = (files("oddlens.evaluation") / "published.json").read_text(encoding="utf-8")
    items: list[dict[str, Any]] = json.loads(text)
    return tuple(Published(**{"classes": {}, **item}) for item in items)


def published(protocol: str, data: str) -> list[Published]:
    """What others published for a protocol and a data set; may be empty."""
    return [each for each in _all_published() if (each.protocol, each.data) == (protocol, data)]


def told(setting: Mapping[str, Any]) -> str:
    """A protocol's setting for people: ``gamma 0.01, anomalies all``; hashes are left out."""
    shown = {name: value for name, value in setting.items() if not name.endswith("sha256")}
    return ", ".join(f"{name} {value}" for name, value in sorted(shown.items(), reverse=True))


def mean_of_more(records: Sequence[Record]) -> dict[str, float]:
    """What the protocol reports beside AUROC, without intervals: means over the records.

    Over those that have it: not every category has masks.
    """
    found: dict[str, list[float]] = {}
    for record in records:
        for name, value in record.more_metrics.items():
            if not name.endswith(("_low", "_high")):
                found.setdefault(name, []).append(value)
    return {name: fmean(found[name]) for name in sorted(found)}


def percent(spread: Spread | float | None) -> str:
    """An AUROC for people, in percent: ``93.5 ± 0.2``."""
    if spread is None:
        return ""
    if not isinstance(spread, Spread):
        return f"{100 * spread:.1f}"
    mean = f"{100 * spread.mean:.1f}"
    return mean if spread.deviation is None else f"{mean} ± {100 * spread.deviation:.1f}"

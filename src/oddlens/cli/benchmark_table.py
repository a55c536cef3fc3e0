"""What ``oddlens benchmark`` prints at the end: classes, their mean, cues, published numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oddlens.cli.screen import Screen

if TYPE_CHECKING:
    from oddlens.evaluation.protocols import Trial
    from oddlens.evaluation.records import Record
    from oddlens.evaluation.runner import Outcome
    from oddlens.evaluation.summary import Published, Summary
    from oddlens.images.catalogue import ClassData


def tell_outcome(
    screen: Screen,
    outcome: Outcome,
    data: ClassData,
    trials: Sequence[Trial],
    path: Path,
) -> None:
    """Print all of it, as a table or as JSON."""
    from oddlens.evaluation.summary import published, summarise

    screen.note(f"records: {path}")
    others = published(trials[0].protocol, data.name)
    summaries = summarise(outcome.records)
    facts = {
        "file": path,
        "data": data.name,
        "data_note": data.note,
        "trials": len(trials),
        "done": len(outcome.records),
        "recorded_earlier": outcome.skipped,
        "failed": [
            {
                "target": trial.target,
                "seed": trial.seed,
                "reason": reason,
                **({"setting": trial.setting} if trial.setting else {}),
            }
            for trial, reason in outcome.failed
        ],
        "summaries": [_as_json(summary) for summary in summaries],
        "published": [vars(each) for each in others],
    }
    rows = [row for summary in summaries for row in _rows(summary)]
    rows += _published_rows(others) if rows else []
    screen.result(facts, rows, headers=["normal class", "AUROC, %", "95 % interval", "seeds", ""])


def _as_json(summary: Summary) -> dict[str, Any]:
    from oddlens.evaluation.summary import mean_of_more

    return {
        **vars(summary.configuration),
        "setting": summary.records[0].setting,
        "options": summary.records[0].options,
        "classes": {name: vars(spread) for name, spread in summary.classes.items()},
        "mean": vars(summary.mean) if summary.mean else None,
        "mean_of_means": summary.mean_of_means,
        "more_metrics": mean_of_more(summary.records),
        "cues": summary.cues,
    }


def _rows(summary: Summary) -> Iterator[list[str]]:
    """A row for each class, one for their mean, one for each cue alone."""
    from oddlens.evaluation.summary import percent, told

    setting = told(summary.records[0].setting)
    for name, spread in summary.classes.items():
        own = [record for record in summary.records if record.target == name]
        minutes = sum(record.fit_seconds for record in own) / len(own) / 60
        interval = ""
        if len(own) == 1:
            metrics = own[0].metrics
            low, high = 100 * metrics.image_auroc_low, 100 * metrics.image_auroc_high
            interval = f"{low:.1f} to {high:.1f}"
        seeds = ", ".join(map(str, spread.seeds))
        named = f"{name}, {setting}" if setting else name
        about = "; ".join([f"{minutes:.1f} min", *_more(own)])
        yield [named, percent(spread), interval, seeds, about]
    configuration = summary.configuration
    notes = [configuration.data_note]
    if configuration.test_limit is not None:
        notes.append(f"{configuration.test_limit:,} test images only")
    notes += _more(summary.records)
    mean = summary.mean if summary.mean is not None else summary.mean_of_means
    seeds = ", ".join(map(str, summary.mean.seeds)) if summary.mean is not None else ""
    count = len(summary.classes)
    of = f"mean of {count:,} {'class' if count == 1 else 'classes'}"
    of += f", {setting}" if setting else ""
    yield [of, percent(mean), "", seeds, "; ".join(filter(None, notes))]
    for cue, value in summary.cues.items():
        yield [f"  cue {cue} alone", percent(value), "", "", ""]


def _more(records: Sequence[Record]) -> list[str]:
    """The means of what the protocol reports beside AUROC, each as ``name 12.3``, in percent."""
    from oddlens.evaluation.summary import mean_of_more

    means = mean_of_more(records)
    return [f"{name} {100 * value:.1f}" for name, value in means.items() if " of " not in name]


def _published_rows(others: Sequence[Published]) -> Iterator[list[str]]:
    from oddlens.evaluation.summary import percent, told

    for other in others:
        source = f"{other.source}; {other.note}" if other.note else other.source
        who = ", ".join(filter(None, (other.who, told(other.setting), other.of)))
        more = [f"{name} {percent(value)}" for name, value in other.more.items()]
        yield [f"published: {who}", percent(other.mean), "", "", "; ".join([*more, source])]

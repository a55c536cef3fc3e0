"""What tables tell of a configuration: title, options, budget; and where its records lie."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from oddlens.detectors import METHODS, get_method
from oddlens.detectors.fitting_options import fitting_options
from oddlens.ensemble.making import ENSEMBLE, members_of
from oddlens.errors import UsageError
from oddlens.evaluation.protocols import PROTOCOLS, get_protocol
from oddlens.evaluation.records import RecordFile, file_name
from oddlens.evaluation.summary import Configuration, Summary, summarise
from oddlens.images.catalogue import CATALOGUE, Content


def file_of(protocol: str, data: str, folder: Path) -> Path:
    """Where ``oddlens benchmark --out folder`` writes."""
    return folder / file_name(protocol, data)


def stem_of(protocol: str, data: str) -> str:
    """The name of that file without its ending, which is the name of the table."""
    return file_name(protocol, data).removesuffix(".jsonl")


def summaries_of(protocol: str, data: str, folder: Path) -> list[Summary]:
    """Of one data set, in order of first appearance; quick looks at a part are left out."""
    return [
        each
        for each in summarise(RecordFile(file_of(protocol, data, folder)).read())
        if is_whole(each)
    ]


def data_sets(protocol: str, folder: Path) -> list[str]:
    """The data sets that a folder has records of, those of the catalogue first."""
    known = [name for name in CATALOGUE if file_of(protocol, name, folder).is_file()]
    taken = {file_of(protocol, name, folder) for name in known}
    start = stem_of(protocol, "")
    others = [path for path in sorted(folder.glob(f"{start}*.jsonl")) if path not in taken]
    return [*known, *map(_data_in, others)]


def _data_in(path: Path) -> str:
    """The data set's name, which the name of its file tells in part only."""
    records = RecordFile(path).read()
    return records[0].data if records else path.stem


def is_whole(summary: Summary) -> bool:
    """Not a quick look at some of the test images."""
    return summary.configuration.test_limit is None


def data_title(data: str) -> str:
    """A data set for people."""
    return CATALOGUE[data].title if data in CATALOGUE else data


def title_of(summary: Summary) -> str:
    """The class of a method, or of an ensemble those of its members."""
    method = summary.configuration.method
    if not known_method(method):
        return method
    return " + ".join(kind.__name__ for kind in members_of(method).values())


def known_method(method: str) -> bool:
    """Whether a method, or every member of an ensemble, is one of this version."""
    return all(each in METHODS for each in method.split(","))


def titled(summary: Summary) -> str:
    """A method with the options that were set by hand."""
    return ", ".join(filter(None, (title_of(summary), set_by_hand(summary))))


def set_by_hand(summary: Summary) -> str:
    """The options that differ from what the method has by default today, as code."""
    one = summary.configuration
    config, options = json.loads(one.config), json.loads(one.options)
    if not known_method(one.method) or len(members := members_of(one.method)) == 1:
        return _by_hand(one, one.method, {**config, **options})
    told = [] if config[ENSEMBLE] == {"fusion": "fisher"} else [f"`{config[ENSEMBLE]['fusion']}`"]
    for name, kind in members.items():
        own = _by_hand(one, kind.method, {**config[name], **options.get(name, {})})
        told += [f"{name}: {own}"] if own else []
    return "; ".join(told)


def as_it_comes(summary: Summary) -> bool:
    """Whether nothing was set by hand but options that others have their defaults from.

    An encoder, or what images show, is chosen before anything is measured: such runs are ways to
    use a method, not variants of it.
    """
    return set_by_hand(summary) == way_of(summary)


def way_of(summary: Summary) -> str:
    """Of the options that were set by hand those that others have their defaults from, as code."""
    one = summary.configuration
    if not known_method(one.method) or len(members_of(one.method)) > 1:
        return ""
    actual = {**json.loads(one.config), **json.loads(one.options)}
    if "encoder" in actual:
        given = {name: actual[name] for name in _LEADING if name in actual}
        options = _options(one.method, given)
        # One that is trained is a variant, and no subject says anything to it.
        if options is not None and options.trains_a_network:
            return ""
    found = not_usual(one, one.method, actual)
    return _as_code({name: value for name, value in found.items() if name in _LEADING})


def _by_hand(one: Configuration, method: str, actual: Mapping[str, Any]) -> str:
    return _as_code(not_usual(one, method, actual))


def _as_code(options: Mapping[str, Any]) -> str:
    return ", ".join(
        f"`{name}={value if isinstance(value, str) else json.dumps(value)}`"
        for name, value in options.items()
    )


def not_usual(one: Configuration, method: str, actual: Mapping[str, Any]) -> dict[str, Any]:
    """Of a method's options those that were set by hand, by name.

    Args:
        one: says the protocol and the data, which decide on flips, shifts and rim.
        method: whose options they are.
        actual: all of them.
    """
    content = _content(one.protocol, one.data)
    plain, usual = _usual(method, content, actual), _usual(method, content, actual, _LEADING)
    return {
        name: value
        for name, value in sorted(actual.items())
        if value != (plain if name in _LEADING else usual).get(name)
        or (name == "preset" and value == "paper")
    }


_LEADING = ("encoder", "subject")
"""Options that others have their defaults from."""


def _content(protocol: str, data: str) -> Content:
    """What images show, as the rules of flips, shifts and rim see it."""
    own = get_protocol(protocol).content if protocol in PROTOCOLS else None
    return own or (CATALOGUE[data].content if data in CATALOGUE else CATALOGUE["folder"].content)


def _usual(
    method: str, content: Content, actual: Mapping[str, Any], kept: Sequence[str] = ()
) -> dict[str, Any]:
    """A method's options where nothing is set by hand but those kept."""
    if method not in METHODS:
        return {"preset": "compact"}
    kind = get_method(method).Options
    preset = actual.get("preset", "compact")
    given = {"preset": preset}
    given |= {name: actual[name] for name in kept if name in kind.model_fields and name in actual}
    variant = {name: actual[name] for name in actual.keys() & {"variant"}}
    given = fitting_options(kind, {**given, **variant}, content)
    for name in variant:
        del given[name]
    options = _options(method, given)
    return given if options is None else dict(options.model_dump(mode="json"))


def _options(method: str, given: dict[str, Any]) -> Any:
    """A method's options; None where they name an encoder that is not registered here."""
    try:
        return get_method(method).Options.make(given)
    except UsageError:
        return None


def budget(summary: Summary) -> str:
    """The length of training and what it had of the machine."""
    one = summary.configuration
    length = "its own length"
    if one.minutes is not None:
        length = f"{one.minutes:g} min"
    elif one.epochs is not None:
        length = f"{one.epochs} pass{'es' if one.epochs != 1 else ''}"
    jobs = {int(record.provenance.get("jobs", 1)) for record in summary.records}
    shared = "" if jobs == {1} else f", {max(jobs)} at a time"
    hardware = [record.provenance.get("hardware", {}) for record in summary.records]
    threads = {int(each["threads"]) for each in hardware if "threads" in each}
    used = f", {max(threads)} thread{'s' if max(threads) > 1 else ''}" if threads else ""
    where = used if one.device == "cpu" else f" on {one.device}"
    return f"{length}{where}{', float32' if one.precision == '32' else ''}{shared}"


def some_classes(names: Sequence[str], every: Sequence[str], most: int = 5) -> str:
    """Classes for people: ``all``, ``the first 5``, their names, or of many how many."""
    if len(names) == len(every):
        return "all"
    if len(names) > 1 and list(names) == list(every[: len(names)]):
        return f"the first {len(names)}"
    return ", ".join(names) if len(names) <= most else f"{len(names)} of {len(every)}"

"""Where the numbers of a table come from, in a line: commits, commands, machines, seeds, file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from oddlens.evaluation.records import Record
from oddlens.evaluation.summary import Summary
from oddlens.tables.cells import distinct

MERGED = ("--classes", "--seeds")
"""Options of which commands that are else alike are told as one."""
_SILENT = ("-q", "--quiet")


def origin(records: Sequence[Mapping[str, Any]], file: str | Path, *, commands: bool = True) -> str:
    """One line: commits, commands, hardware, seeds and the file of the records.

    Args:
        records: as they stand in the file, with ``provenance`` and ``seed``.
        file: of the records, as it is to be named.
        commands: tell them; without, the line is short.
    """
    named = Path(file).as_posix()
    if not records:
        return f"Not run yet: there is no record in `{named}`."
    known = [record["provenance"] for record in records if record.get("provenance")]
    if not known:
        return f"From `{named}`, which does not say where it comes from."
    commits = distinct(_commit(one) for one in known)
    told = merged(distinct(_command(one) for one in known)) if commands else []
    seeds = sorted({int(record["seed"]) for record in records if record.get("seed") is not None})
    parts = [
        f"Commit{'s' if len(commits) > 1 else ''} {', '.join(commits)}",
        ", ".join(f"`{command}`" for command in told),
        "; ".join(distinct(_hardware(one) for one in known)),
        f"seeds {', '.join(map(str, seeds))}" if seeds else "",
        f"records in `{named}`",
    ]
    return "; ".join(part for part in parts if part) + "."


def told_origin(summaries: Iterable[Summary], file: Path, *, commands: bool = True) -> str:
    """The same of summaries, with what is to be said of their data."""
    records = [record for each in summaries for record in each.records]
    return told_origin_of(records, file, commands=commands)


def told_origin_of(records: Sequence[Record], file: Path, *, commands: bool = True) -> str:
    """The same of records that lie in one file."""
    notes = sorted({record.data_note for record in records} - {""})
    told = f" Data: {', '.join(notes)}." if notes else ""
    plain = [record.model_dump(mode="json", include={"provenance", "seed"}) for record in records]
    return origin(plain, named(file), commands=commands) + told


def named(file: Path) -> str:
    """A file of records as a table names it: with its folder alone."""
    return (Path(file.parent.name) / file.name).as_posix()


def merged(commands: Sequence[str]) -> list[str]:
    """Commands as few as can be: of those that differ in one option of ``MERGED`` one remains.

    Its values are all that were given. One option at a time, so that no pair of class and seed is
    told that was not run.
    """
    found = [_parts(shlex.split(command)) for command in commands]
    for option in MERGED:
        found = _merged(found, option)
    return [shlex.join(word for part in parts for word in part) for parts in found]


Part = tuple[str, ...]
"""An option with its values; what stands before all options is one as well."""


def _parts(words: Sequence[str]) -> list[Part]:
    found: list[list[str]] = [[]]
    for word in words:
        if word.startswith("-"):
            found.append([])
        found[-1].append(word)
    return [tuple(part) for part in found]


def _merged(commands: Sequence[list[Part]], option: str) -> list[list[Part]]:
    groups: dict[tuple[Part, ...], list[list[Part]]] = {}
    for parts in commands:
        # In whatever order the options stand, they say the same; without the option it is all.
        kept = [part if part[:1] != (option,) else (option,) for part in parts]
        groups.setdefault(tuple(sorted(set(kept))), []).append(parts)
    return [each[0] if len(each) == 1 else _one_of(each, option) for each in groups.values()]


def _one_of(commands: Sequence[list[Part]], option: str) -> list[Part]:
    first, *_ = commands
    given = [part[1:] for parts in commands for part in parts if part[:1] == (option,)]
    words = list(dict.fromkeys(word for values in given for word in values))
    values = _union(words, commas=first[0][:1] == ("oddlens",))
    made = [part if part[:1] != (option,) else (option, *values) for part in first]
    return list(dict.fromkeys(made))


def _union(given: Sequence[str], *, commas: bool) -> list[str]:
    """All values once, numbers sorted: as ``oddlens`` takes them, or as words of their own."""
    words = [word for each in given for word in each.split(",")]
    if all(re.fullmatch(r"\d+(-\d+)?", word) for word in words):
        ends = [
            (int(first), int(last or first)) for first, _, last in (w.partition("-") for w in words)
        ]
        numbers = sorted({number for first, last in ends for number in range(first, last + 1)})
        words = _ranges(numbers).split(",") if commas else list(map(str, numbers))
    words = list(dict.fromkeys(words))
    return [",".join(words)] if commas else words


def _ranges(numbers: Sequence[int]) -> str:
    """Sorted numbers as ``0-4,7``; two in a row stay apart."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts = [f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in runs]
    return ",".join(parts)


def _commit(one: Mapping[str, Any]) -> str:
    return f"{one.get('commit') or 'unknown'}{' with changes' if one.get('dirty') else ''}"


def _command(one: Mapping[str, Any]) -> str:
    """The command without what names a place on somebody's machine, and without silence."""
    words = [word for word in shlex.split(str(one.get("command") or "")) if word not in _SILENT]
    for option in ("--keep", "--keep-scores"):
        if option in words:
            at = words.index(option)
            del words[at : at + 2]
    return shlex.join(Path(word).name if word.startswith("/") else word for word in words)


def _hardware(one: Mapping[str, Any]) -> str:
    machine = one.get("hardware") or {}
    device = machine.get("device", "cpu")
    on = machine.get("cpu", "unknown machine") if device == "cpu" else device
    torch = f", torch {one['torch']}" if one.get("torch") else ""
    return f"{on}, {_counted(machine, 'threads')} on {_counted(machine, 'cores')}{torch}"


def _counted(machine: Mapping[str, Any], what: str) -> str:
    """``2 threads``, ``1 thread``."""
    count = machine.get(what, "?")
    return f"{count} {what.removesuffix('s') if count == 1 else what}"

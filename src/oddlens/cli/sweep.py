"""``--gammas``, ``--anomalies`` and ``--odd`` of ``oddlens benchmark``: what a protocol sets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oddlens.errors import UsageError

if TYPE_CHECKING:
    from oddlens.evaluation.protocols import Protocol


def read_sweep(
    protocol: Protocol, method: str, gammas: Sequence[str] | None, anomalies: Sequence[str] | None
) -> list[dict[str, Any]]:
    """The settings of the trials, a single empty one where the protocol has none.

    Args:
        protocol: which is asked for.
        method: a detector's name, or those of an ensemble's members.
        gammas: as given, such as ``["0,0.01"]``; None for the protocol's own.
        anomalies: likewise, such as ``["all,single"]``; None for all.

    Raises:
        UsageError: the protocol has no such setting, a value is none, or the method learns from
            normal images alone.
    """
    from oddlens.detectors import METHODS, get_method
    from oddlens.ensemble.making import members_of
    from oddlens.evaluation.protocols import few_anomalies

    if "gamma" not in protocol.settings:
        for option, given in (("--gammas", gammas), ("--anomalies", anomalies)):
            if given:
                raise UsageError(f"{option} goes with few-anomalies, not with {protocol.name}")
        return [{}]
    if not any(kind.learns_from_anomalies for kind in members_of(method).values()):
        able = [name for name in METHODS if get_method(name).learns_from_anomalies]
        raise UsageError(
            f"{method} learns from normal images alone, but {protocol.name} measures what labelled "
            f"anomalies add: use {' or '.join(able)}, or one-vs-all"
        )
    shares = list(few_anomalies.GAMMAS) if not gammas else [_share(word) for word in _words(gammas)]
    return [*few_anomalies.settings(shares, _words(anomalies or ["all"]))]


def refuse_odd(protocol: Protocol, odd: str | None, odd_root: Path | None) -> None:
    """Refuse ``--odd`` where it does not belong, and its absence where it does.

    Raises:
        UsageError: see above.
    """
    if "odd" in protocol.settings:
        if odd is None:
            raise UsageError(
                f"{protocol.name} needs a data set whose test images are odd: give --odd, and "
                "--odd-root with where it lies"
            )
    elif odd is not None or odd_root is not None:
        option = "--odd" if odd is not None else "--odd-root"
        raise UsageError(f"{option} goes with out-of-distribution, not with {protocol.name}")


def read_odd(name: str, root: Path | None, *, download: bool) -> dict[str, Any]:
    """The setting of trials against an odd data set.

    Raises:
        UsageError: there is no such data set, or it needs a folder.
        DataError: it cannot be read.
    """
    from oddlens.evaluation.protocols.out_of_distribution import open_odd
    from oddlens.images.catalogue import find_entry, open_data

    if root is None and not find_entry(name).embedded:
        raise UsageError(f"--odd {name} needs a folder with it: give --odd-root")
    if download:
        open_data(name, root, download=True)
    odd = open_odd(find_entry(name).name, root)
    return {"odd": odd.name, "odd_sha256": odd.sha256}


def _words(given: Sequence[str]) -> list[str]:
    return [part.strip() for each in given for part in each.split(",")]


def _share(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise UsageError(f"--gammas {word}: write numbers, such as 0,0.01,0.1") from None

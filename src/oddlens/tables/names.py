"""The names of tables, and the tables of a folder of records."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from oddlens.errors import UsageError
from oddlens.evaluation.protocols import PROTOCOLS
from oddlens.images.catalogue import CATALOGUE
from oddlens.tables.by_class import by_class, by_class_summary, every_set, variants
from oddlens.tables.cells import NOT_RUN
from oddlens.tables.comparisons import comparisons
from oddlens.tables.cue_sets import cue_sets
from oddlens.tables.few_anomalies import few_anomalies
from oddlens.tables.localization import localization
from oddlens.tables.rates import out_of_distribution, presentation_attack
from oddlens.tables.seed_noise import seed_noise_table
from oddlens.tables.told import data_sets, stem_of

Rendered = Callable[[Path], str]
Of = Callable[[Path, str], str]

SUMMARY = ("fashion-mnist", "cifar10")
"""The data sets that the summary of one-vs-all tells of even where they were not run."""
OTHERS = ("cifar100", "retinal-oct")
"""Likewise, for what others published of them."""
STYLES = ("folder:fonts",)
"""Likewise of style: what ``oddlens fonts --out fonts`` draws."""
PAIRS = (("cifar10", "fashion-mnist"), ("cifar10", "textures"), ("cifar10", "cifar100"))
"""Likewise of out-of-distribution: the normal data set, and the odd one."""
PARTS = ("mvtec", "magnetic-tile")
"""Likewise of localization."""
FACES = ("wmca", "siw-m")
"""Likewise of presentation attacks."""

WHOLE: dict[str, Rendered] = {
    "one_vs_all_summary": partial(by_class_summary, "one-vs-all", (*SUMMARY, *OTHERS)),
    "style": partial(every_set, "style", needed=STYLES),
    "style_summary": partial(by_class_summary, "style", STYLES),
    "out_of_distribution": partial(out_of_distribution, needed=PAIRS),
    "presentation_attack": partial(presentation_attack, needed=FACES),
    "localization": partial(localization, needed=PARTS),
    "comparisons": comparisons,
    "seed_noise": seed_noise_table,
}
"""Tables over all data sets of a folder, by name."""

ONE: dict[str, Of] = {
    "one_vs_all": lambda folder, data: by_class("one-vs-all", data, folder),
    "style": lambda folder, data: by_class("style", data, folder),
    "few_anomalies": lambda folder, data: few_anomalies(data, folder),
    "out_of_distribution": out_of_distribution,
    "presentation_attack": presentation_attack,
    "localization": localization,
    "variants": lambda folder, data: variants(data, folder),
    "cue_sets_multicue": lambda folder, data: cue_sets(data, "multicue", folder),
    "cue_sets_multitask": lambda folder, data: cue_sets(data, "multitask", folder),
}
"""Tables of one data set: the name of one is one of these, ``_`` and the data set's."""


def find_table(name: str) -> Rendered:
    """The table of a name, to be made from a folder of records.

    Args:
        name: one of ``WHOLE``, or such as ``one_vs_all_fashion_mnist``.

    Raises:
        UsageError: there is none.
    """
    if name in WHOLE:
        return WHOLE[name]
    for start in sorted(ONE, key=len, reverse=True):
        if name.startswith(f"{start}_"):
            return partial(_of_data, ONE[start], name.removeprefix(f"{start}_"))
    raise UsageError(
        f"there is no table {name!r}: there are {', '.join(WHOLE)}, and for a data set "
        f"{', '.join(f'{start}_DATA' for start in ONE)}"
    )


def _of_data(table: Of, stem: str, folder: Path) -> str:
    return table(folder, data_of(stem))


def data_of(stem: str) -> str:
    """The data set whose name in file names this is."""
    return next((name for name in CATALOGUE if name.replace("-", "_") == stem), stem)


def render(name: str, folder: Path) -> str:
    """A table in Markdown, "not run" where there are no records.

    Raises:
        UsageError: there is no such table.
        DataError: a file of records is damaged.
    """
    return find_table(name)(folder)


def known_tables(
    folder: Path, protocol: str | None = None, data: str | None = None
) -> dict[str, str]:
    """The tables that a folder has records for: their names, each with a title.

    Args:
        folder: of the records.
        protocol: only those of one.
        data: only those of one data set.

    Raises:
        UsageError: there is no such protocol.
    """
    if protocol is not None and protocol not in PROTOCOLS:
        raise UsageError(f"there is no protocol {protocol!r}: there are {', '.join(PROTOCOLS)}")
    found: dict[str, str] = {}
    for each in PROTOCOLS if protocol is None else [protocol]:
        for one in data_sets(each, folder):
            name = stem_of(each, one)
            if data is not None and name != stem_of(each, data):
                continue
            found[name] = f"{each}, {one}"
            if each == "one-vs-all" and NOT_RUN not in variants(one, folder):
                changed = name.replace("one_vs_all", "variants", 1)
                found[changed] = f"{each}, {one}: what options change"
    return found

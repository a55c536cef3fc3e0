"""What the catalogue knows of a data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from oddlens.images.catalogue.download import Download
from oddlens.images.catalogue.flips import Content
from oddlens.images.catalogue.labelled import ClassData


@dataclass(frozen=True)
class Entry:
    """A data set that oddlens knows by name.

    Attributes:
        name: on the command line.
        title: for people.
        classes: their names by label; empty where the folder tells them.
        colour: whether its images have colours.
        size: native side in pixels; 0 where images differ.
        content: what they show, which decides on flips.
        licence: under which it may be used.
        layout: what is expected in the root folder.
        obtain: where it comes from.
        read: gives the data set that lies in a root folder.
        embedded: comes with a dependency and needs no root.
        downloads: files at public addresses whose hashes are known; empty where there are none, or
            where they are given out by hand only.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    colour: bool
    size: int
    content: Content
    licence: str
    layout: str
    obtain: str
    read: Callable[[Entry, Path], ClassData]
    embedded: bool = False
    downloads: tuple[Download, ...] = ()

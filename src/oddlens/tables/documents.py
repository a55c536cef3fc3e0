"""Documents that hold tables between ``<!-- table:NAME -->`` and ``<!-- end -->``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from oddlens.errors import DataError

BLOCK = re.compile(r"<!-- table:(\w+) -->\n(.*?)<!-- end -->", re.DOTALL)


def rewritten(text: str, table: Callable[[str], str]) -> str:
    """A document with every table made anew; the text around them stays.

    Args:
        text: of the document.
        table: makes the table of a name.

    Raises:
        DataError: a marker has no partner.
        UsageError: from ``table``, of a name that it does not know.
    """
    opened, closed = text.count("<!-- table:"), text.count("<!-- end -->")
    if not opened == closed == len(BLOCK.findall(text)):
        raise DataError("the markers <!-- table:NAME --> and <!-- end --> do not pair up")
    return BLOCK.sub(lambda found: block(found[1], table(found[1])), text)


def block(name: str, table: str) -> str:
    """A table between its markers."""
    return f"<!-- table:{name} -->\n{table}\n<!-- end -->"


def document_of(tables: Mapping[str, tuple[str, str]]) -> str:
    """A new document: each table between its markers, below its title.

    Args:
        tables: by name the title and the table.
    """
    parts = ["# Results"]
    for name, (title, table) in tables.items():
        parts += [f"## {title}", block(name, table)]
    return "\n\n".join(parts) + "\n"

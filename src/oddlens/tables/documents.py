"""Documents that hold tables between ``<!-- table:NAME -->`` and ``<!-- end -->``.

Each marker has a line of its own; within a line it is only spoken of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from oddlens.errors import DataError

BLOCK = re.compile(r"^<!-- table:(\w+) -->\n(.*?)^<!-- end -->$", re.DOTALL | re.MULTILINE)
_OPENED = re.compile(r"^<!-- table:", re.MULTILINE)
_CLOSED = re.compile(r"^<!-- end -->", re.MULTILINE)


def rewritten(text: str, table: Callable[[str], str]) -> str:
    """A document with every table made anew; the text around them stays.

    Args:
        text: of the document.
        table: makes the table of a name.

    Raises:
        DataError: a marker has no partner.
        UsageError: from ``table``, of a name that it does not know.
    """
    opened, closed, whole = (len(each.findall(text)) for each in (_OPENED, _CLOSED, BLOCK))
    if not opened == closed == whole:
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

"""Records of trials as Markdown tables, and the documents that hold them.

A table is made from a folder of records (``oddlens benchmark --out``) and ends with where its
numbers come from: commits, commands, machines, seeds, the file.
"""

from __future__ import annotations

from oddlens.tables.documents import document_of, rewritten
from oddlens.tables.names import known_tables, render

__all__ = ["document_of", "known_tables", "render", "rewritten"]

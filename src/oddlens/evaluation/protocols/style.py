"""Style: one-vs-all where classes differ by how something is drawn, not by what it shows.

One font among fonts that show the same letters (FounderType), one bird species among species
(CUB-200). Training never mirrors: a mirrored letter is none, and a style may be which way it leans.
"""

from __future__ import annotations

from oddlens.evaluation.protocols.one_vs_all import OneVsAll


class Style(OneVsAll):
    """See the module."""

    name = "style"
    content = "style"

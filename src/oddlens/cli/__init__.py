"""The command line: one thin file per verb."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""

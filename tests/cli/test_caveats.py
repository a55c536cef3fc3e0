"""What to know before trusting predictions."""

from __future__ import annotations

from oddlens.cli.caveats import skipped_sentence
from oddlens.images import Skipped


def test_skipped_files_are_named_up_to_a_point() -> None:
    assert skipped_sentence([Skipped("a.png", "is empty")]) == (
        "1 file was skipped: a.png: is empty"
    )
    many = skipped_sentence([Skipped(f"{i}.png", "is empty") for i in range(1205)])
    assert many.startswith("1,205 files were skipped: 0.png: is empty; 1.png")
    assert many.endswith("; and 1,200 more")

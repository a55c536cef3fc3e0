"""What is wrong with a data set, file by file, before an hour of training finds out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from oddlens.errors import DataError
from oddlens.images.check_report import CheckReport, CheckSummary, Problem
from oddlens.images.check_rules import RULES
from oddlens.images.check_scan import Scan, scan_folder
from oddlens.images.files import LOOKED_FOR, is_image_name, natural_key


def check_folder(
    root: str | Path, *, progress: Callable[[str, int, int], None] | None = None
) -> CheckReport:
    """Look at every image of a folder, and every mask.

    A folder with ``train`` or ``test`` in it is taken to be in MVTec's layout, where
    ``ground_truth`` holds masks; any other is a plain folder of normal images.

    Errors: unreadable images; the same picture in training and test, or in the test set as both
    normal and defect; masks that are unreadable or of another size than their image; a broken
    layout; too few images. Warnings: other repeated pictures; masks that are missing, empty, not
    binary or without an image; mixed sizes, or grey mixed with colour; images that are small, of
    one colour, or 12-bit data in a 16-bit file; picture files of kinds that are not read.
    "The same picture" means equal decoded pixels, so a copy in another format is found too.

    Args:
        root: the folder.
        progress: called with ("checking images" or "checking masks", done, total).

    Returns:
        Counts and problems.

    Raises:
        DataError: no such folder, or not one image in it.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    scan = scan_folder(root, progress)
    if not scan.images:
        raise DataError(f"no images in {root}: looked for {LOOKED_FOR}")
    problems = [problem for rule in RULES for problem in rule(scan)]
    return CheckReport(_summary(scan), tuple(sorted(problems, key=_order)))


def _order(problem: Problem) -> tuple[bool, tuple[object, ...]]:
    return problem.severity != "error", natural_key(Path(problem.path))


def _summary(scan: Scan) -> CheckSummary:
    sizes = Counter(f"{image.width}x{image.height}" for image in scan.readable)
    grey = sum(image.is_grey for image in scan.readable)
    ignored = Counter(
        path.suffix.lower() or path.name for path in scan.files if not is_image_name(path)
    )
    return CheckSummary(
        root=str(scan.root),
        layout="mvtec" if scan.is_mvtec else "folder",
        images=len(scan.images),
        unreadable=len(scan.unreadable),
        masks=len(scan.masks),
        folders=dict(Counter(scan.relative(path.parent) for path in scan.images)),
        sizes=dict(sizes.most_common()),
        grey=grey,
        colour=len(scan.readable) - grey,
        ignored=dict(sorted(ignored.items())),
    )

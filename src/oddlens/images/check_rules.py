"""The rules of ``check_folder``: each looks at a scan and yields what it finds wrong."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from oddlens.errors import DataError
from oddlens.images.check_report import Problem
from oddlens.images.check_scan import ImageFacts, MaskFacts, Scan
from oddlens.images.layout import GOOD, defect_folders, find_masks, read_layout
from oddlens.images.split import MIN_COUNT

SMALLEST_SIDE = 32  # pixels; our choice: below this there is hardly a texture to learn
FEW_TO_TRAIN = 20  # our choice: below this the hold-out guarantees no useful false-alarm rate

# pictures that people have and that are passed over
_OTHER_KINDS = {
    *(".avif", ".dcm", ".gif", ".heic", ".heif", ".jp2", ".npy", ".npz", ".pgm", ".ppm", ".raw"),
}


def unreadable(scan: Scan) -> Iterator[Problem]:
    """Files that cannot be decoded."""
    for error in (*scan.unreadable, *scan.unreadable_masks):
        yield Problem("error", scan.relative(error.name), error.reason)


def broken_layout(scan: Scan) -> Iterator[Problem]:
    """Folders that MVTec's layout wants and that are missing or empty."""
    if not scan.is_mvtec:
        return
    try:
        read_layout(scan.root)
    except DataError as error:
        yield Problem("error", ".", str(error))
    train = scan.root / "train"
    stray = [path for path in scan.images if train in path.parents]
    stray = [path for path in stray if train / GOOD not in path.parents]
    if stray:
        message = f"has {_count(len(stray), 'image')} outside train/good, which are not used"
        yield Problem("warning", "train", message)


def too_few(scan: Scan) -> Iterator[Problem]:
    """Too few normal images to train on."""
    folder = scan.root / "train" / GOOD if scan.is_mvtec else scan.root
    if not folder.is_dir():
        return
    count = sum(folder in image.path.parents for image in scan.readable)
    here = scan.relative(folder)
    if count < MIN_COUNT:
        message = f"has {_count(count, 'usable image')}; training needs at least {MIN_COUNT}"
        yield Problem("error", here, message)
    elif count < FEW_TO_TRAIN:
        message = (
            f"has only {count} usable images: so few held-out ones are left that "
            "no small false-alarm rate can be guaranteed"
        )
        yield Problem("warning", here, message)


def repeated(scan: Scan) -> Iterator[Problem]:
    """The same picture more than once: a leak, a contradiction, or a mere repeat."""
    groups: dict[bytes, list[ImageFacts]] = defaultdict(list)
    for image in scan.readable:
        groups[image.digest].append(image)
    for group in groups.values():
        if len(group) > 1:
            yield from _repeats(scan, group)


def _repeats(scan: Scan, group: list[ImageFacts]) -> Iterator[Problem]:
    train = [image for image in group if scan.part(image) == "train"]
    test = [image for image in group if scan.part(image) == "test"]
    if train:
        first = scan.relative(train[0].path)
        for image in test:
            message = f"is the same picture as {first}: a leak from training into the test"
            yield Problem("error", scan.relative(image.path), message)
    normal = [image for image in test if _is_good(scan, image)]
    anomalous = [image for image in test if not _is_good(scan, image)]
    if normal:
        first = scan.relative(normal[0].path)
        for image in anomalous:
            message = f"is the same picture as {first}: it cannot be both normal and a defect"
            yield Problem("error", scan.relative(image.path), message)
    others = [image for image in group if scan.part(image) not in ("train", "test")]
    for alike in (train, normal, anomalous, others):
        for image in alike[1:]:
            message = f"is the same picture as {scan.relative(alike[0].path)}"
            yield Problem("warning", scan.relative(image.path), message)


def _is_good(scan: Scan, image: ImageFacts) -> bool:
    return scan.root / "test" / GOOD in image.path.parents


def odd_images(scan: Scan) -> Iterator[Problem]:
    """Images that are small, of one colour, or scaled wrongly."""
    for image in scan.readable:
        path = scan.relative(image.path)
        if min(image.height, image.width) < SMALLEST_SIDE:
            size = f"{image.width} x {image.height}"
            message = f"is only {size} pixels; below {SMALLEST_SIDE} there is little to learn from"
            yield Problem("warning", path, message)
        if image.is_flat:
            yield Problem("warning", path, "is of one colour all over")
        elif image.looks_12_bit:
            message = (
                "is a 16-bit image with values up to 1/16 of white: if this is 12-bit data, "
                "multiply it by 16 or it is nearly black"
            )
            yield Problem("warning", path, message)


def mixtures(scan: Scan) -> Iterator[Problem]:
    """Sizes, or grey and colour, that are mixed within the folder."""
    sizes = Counter((image.width, image.height) for image in scan.readable)
    shapes = {round(width / height, 2) for width, height in sizes}
    if len(sizes) > 1:
        (width, height), count = sizes.most_common(1)[0]
        message = (
            f"holds images of {len(sizes)} sizes (the commonest, {width} x {height}, "
            f"{_count(count, 'time')}); all are squashed to one square"
        )
        if len(shapes) > 1:
            message += ", which distorts unlike shapes unlike"
        yield Problem("warning", ".", message)
    kinds = Counter(image.is_grey for image in scan.readable)
    if len(kinds) > 1:
        rare = kinds[True] < kinds[False]
        example = next(image.path for image in scan.readable if image.is_grey == rare)
        message = (
            f"mixes {_count(kinds[True], 'grey image')} with {kinds[False]} in colour "
            f"(for example {scan.relative(example)}): colour alone would set them apart"
        )
        yield Problem("warning", ".", message)


def other_kinds(scan: Scan) -> Iterator[Problem]:
    """Pictures of kinds that are passed over in silence elsewhere."""
    passed = Counter(path.suffix.lower() for path in scan.files)
    for suffix in sorted(_OTHER_KINDS & passed.keys()):
        message = f"has {_count(passed[suffix], f'{suffix} file')}, which are not read"
        yield Problem("warning", ".", f"{message}: convert them to PNG if they are images")


def masks(scan: Scan) -> Iterator[Problem]:
    """Masks that are missing, without an image, of a wrong size, empty or not binary."""
    if not scan.is_mvtec or not (scan.root / "test").is_dir():
        return
    left = set(scan.masks)
    bad = {Path(error.name) for error in scan.unreadable_masks}
    sizes = {image.path: (image.height, image.width) for image in scan.readable}
    for defect in defect_folders(scan.root):
        folder = scan.root / "test" / defect
        images = [path for path in scan.images if folder in path.parents]
        found = find_masks(scan.root, images, defect)
        if not any(found.values()):
            message = f"has no masks in ground_truth/{defect}: localization is not measured there"
            yield Problem("warning", f"test/{defect}", message)
            continue
        for image, mask in found.items():
            if mask is None:
                message = f"has no mask ground_truth/{defect}/{image.stem}_mask.png"
                yield Problem("warning", scan.relative(image), message)
                continue
            left.discard(mask)
            if mask not in bad:
                yield from _mask(scan, scan.readable_masks[mask], image, sizes.get(image))
    for mask in sorted(left):
        yield Problem("warning", scan.relative(mask), "is a mask without an image")


def _mask(
    scan: Scan, mask: MaskFacts, image: Path, size: tuple[int, int] | None
) -> Iterator[Problem]:
    path = scan.relative(mask.path)
    if size is not None and size != (mask.height, mask.width):
        message = (
            f"is {mask.width} x {mask.height} pixels, but its image {scan.relative(image)} is "
            f"{size[1]} x {size[0]}"
        )
        yield Problem("error", path, message)
    if mask.is_empty:
        yield Problem("warning", path, "is empty: nothing in it is above 0")
    elif mask.levels > 2:
        message = f"is not binary ({mask.levels} values): everything above 0 counts as defect"
        yield Problem("warning", path, message)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


RULES: tuple[Callable[[Scan], Iterator[Problem]], ...] = (
    unreadable,
    broken_layout,
    too_few,
    repeated,
    odd_images,
    mixtures,
    other_kinds,
    masks,
)

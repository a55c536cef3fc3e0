"""CIFAR-100 as its authors give it out, in the binary version, by its 20 superclasses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oddlens.errors import DataError
from oddlens.images.catalogue.cifar import read_rows
from oddlens.images.catalogue.labelled import LabelledImages

FOLDER = "cifar-100-binary"
TRAIN = "train.bin"
TEST = "test.bin"

SUPERCLASSES: dict[str, tuple[str, ...]] = {
    "aquatic_mammals": ("beaver", "dolphin", "otter", "seal", "whale"),
    "fish": ("aquarium_fish", "flatfish", "ray", "shark", "trout"),
    "flowers": ("orchid", "poppy", "rose", "sunflower", "tulip"),
    "food_containers": ("bottle", "bowl", "can", "cup", "plate"),
    "fruit_and_vegetables": ("apple", "mushroom", "orange", "pear", "sweet_pepper"),
    "household_electrical_devices": ("clock", "keyboard", "lamp", "telephone", "television"),
    "household_furniture": ("bed", "chair", "couch", "table", "wardrobe"),
    "insects": ("bee", "beetle", "butterfly", "caterpillar", "cockroach"),
    "large_carnivores": ("bear", "leopard", "lion", "tiger", "wolf"),
    "large_man-made_outdoor_things": ("bridge", "castle", "house", "road", "skyscraper"),
    "large_natural_outdoor_scenes": ("cloud", "forest", "mountain", "plain", "sea"),
    "large_omnivores_and_herbivores": ("camel", "cattle", "chimpanzee", "elephant", "kangaroo"),
    "medium_mammals": ("fox", "porcupine", "possum", "raccoon", "skunk"),
    "non-insect_invertebrates": ("crab", "lobster", "snail", "spider", "worm"),
    "people": ("baby", "boy", "girl", "man", "woman"),
    "reptiles": ("crocodile", "dinosaur", "lizard", "snake", "turtle"),
    "small_mammals": ("hamster", "mouse", "rabbit", "shrew", "squirrel"),
    "trees": ("maple_tree", "oak_tree", "palm_tree", "pine_tree", "willow_tree"),
    "vehicles_1": ("bicycle", "bus", "motorcycle", "pickup_truck", "train"),
    "vehicles_2": ("lawn_mower", "rocket", "streetcar", "tank", "tractor"),
}
"""By the names and in the order of ``coarse_label_names.txt``, five classes in each."""

CLASSES = tuple(sorted(fine for group in SUPERCLASSES.values() for fine in group))
"""The 100, by the names and in the order of ``fine_label_names.txt``, which is the alphabet's."""


def coarse_of_fine() -> NDArray[np.int64]:
    """The superclass of each class, by label: ``(100,)``."""
    above = {fine: at for at, group in enumerate(SUPERCLASSES.values()) for fine in group}
    return np.array([above[fine] for fine in CLASSES], np.int64)


def find_binary(root: Path) -> Path | None:
    """The folder of the binary version: ``root`` or one below it; None where there is none."""
    for folder in (root, root / FOLDER):
        if (folder / TRAIN).is_file():
            return folder
    return None


def read_binary(folder: Path, name: str) -> LabelledImages:
    """Read one file: per image a byte of the superclass, one of the class, and the pixels.

    Returns:
        uint8 (N, 32, 32, 3) and the labels of the superclasses.

    Raises:
        DataError: the file is missing or cut short, or the two labels of an image do not belong
            together.
    """
    rows, images = read_rows(folder / name, labels=2)
    coarse, fine = rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64)
    if fine.max() >= len(CLASSES) or (coarse_of_fine()[fine] != coarse).any():
        raise DataError(
            f"{folder / name}: has classes that are not of their superclasses, so it is not "
            "CIFAR-100's"
        )
    return LabelledImages(images, coarse)

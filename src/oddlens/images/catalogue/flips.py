"""The rules by which a data set is mirrored and shifted, or not."""

from __future__ import annotations

from typing import Literal

Content = Literal["objects", "clothes", "faces", "characters", "style", "unknown"]
"""What the images of a data set show."""

Flips = Literal["horizontal", "none"]


def fitting_flips(content: Content) -> Flips:
    """Say which mirroring fits what a data set shows.

    The rule: training may mirror an image where its mirror image is as normal as it is itself.

    - ``objects`` (photographs of objects and animals) and ``clothes``: left and right are an
      accident of the camera, so horizontal flips are on, as in MHRot's code.
    - ``faces``: on likewise; no person looks odd for being seen in a mirror.
    - ``style`` (one way of drawing or one species among others): off, because a mirrored letter is
      none, and a style may lie in which way things lean.
    - ``characters`` (digits, letters): a mirrored 2 is no 2, so they are off.
    - ``unknown`` (any folder of classes): off, because nothing is known of it (our choice);
      who knows that mirroring fits turns it on.

    Vertical flips are never on: gravity gives photographs an upper side, and upside down is one of
    the things that a pretext task asks for (our choice).

    Args:
        content: what the images show.
    """
    return "horizontal" if content in ("objects", "clothes", "faces") else "none"


def fitting_jitter(content: Content) -> int:
    """Say by how many pixels training may shift images at random, given what they show.

    The rule: photographs of objects by up to 2, half of the padded random crop of MHRot's code for
    CIFAR, since minutes of training see an image fewer times (our choice); others not, because they
    are centred and being off-centre may be what is odd.

    Args:
        content: what the images show.
    """
    return 2 if content == "objects" else 0


def fitting_rim(content: Content) -> int:
    """Say of how many pixels MultiTask's rim is, given what images show.

    The rule: photographs of objects have one of 6 pixels on each side of the 30 that are seen,
    since their surroundings are as much a photograph as they are; others none, because what is cut
    off may be what is odd (our choice).

    Args:
        content: what the images show.
    """
    return 6 if content == "objects" else 0

"""The errors that oddlens raises: one sentence each, naming the culprit and the way out."""

from __future__ import annotations

from typing import Literal, TypeAlias

ImageFault: TypeAlias = Literal["empty", "not_an_image", "damaged", "too_many_pixels", "unreadable"]
"""In one word for programs, why an image cannot be used; "damaged" is all that has no other."""


class OddlensError(Exception):
    """Base of every error that oddlens raises on purpose.

    Attributes:
        exit_code: what the command line exits with (1: the work failed, 2: the call is wrong).
    """

    exit_code = 1


class UsageError(OddlensError, ValueError):
    """The call is wrong: an unknown option, a value out of range, arguments that clash."""

    exit_code = 2


class DataError(OddlensError):
    """The data as a whole cannot be used: an empty folder, a mask of the wrong size."""


class ImageError(DataError):
    """One image cannot be used.

    Args:
        name: the path, or "image 17" for an item of an array.
        reason: why, as a clause that follows the name.
        fault: the same in one word.
    """

    def __init__(self, name: str, reason: str, fault: ImageFault = "damaged") -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason
        self.fault: ImageFault = fault


class ArtifactError(OddlensError):
    """A saved detector is missing, damaged, newer than this version, or cannot be written."""


class TrainingError(OddlensError):
    """Training cannot go on: the loss is not finite, a network collapsed."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in a long phase, after what was computed has been kept.

    Args:
        message: what was kept, where, and how to go on.
        partial: what was computed (``Predictions`` when scoring), or None.
    """

    def __init__(self, message: str, partial: object = None) -> None:
        super().__init__(message)
        self.message = message
        self.partial = partial

"""Unfitted detectors from what a command line says of them: one method, or several as one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from oddlens.cli.options import parse_settings, suggestion
from oddlens.errors import UsageError

if TYPE_CHECKING:
    from oddlens.detector import Detector

ENSEMBLE = "ensemble"


def build_detector(
    method: str, *, preset: str, size: int | None, settings: Sequence[str]
) -> Detector:
    """Make an unfitted detector.

    Args:
        method: a method, or several with commas between: an ensemble of them.
        preset: of every method.
        size: the image size of every method, or None.
        settings: as given with ``--set``. Of several methods, ``ssm.flips=both`` is for one of
            them, ``ensemble.fusion=stouffer`` for the ensemble, and ``flips=both`` for each method
            that has such an option.

    Raises:
        UsageError: an unknown method or option, or a value out of range.
    """
    from oddlens.ensemble.making import make

    return make(method, read_options(method, preset=preset, size=size, settings=settings))


def read_options(
    method: str, *, preset: str, size: int | None, settings: Sequence[str]
) -> dict[str, Any]:
    """The options that ``ensemble.making.make`` takes; see ``build_detector``."""
    from oddlens.ensemble.making import members_of

    members = members_of(method)
    if len(members) == 1:
        ((name, kind),) = members.items()
        return _read(name, kind.options(), preset=preset, size=size, settings=settings)
    known = {name: kind.options() for name, kind in members.items()}
    divided = divide_settings(settings, {**known, ENSEMBLE: ["fusion"]})
    own = parse_settings(divided.pop(ENSEMBLE), ["fusion"], ENSEMBLE)
    options = {
        name: _read(kind.method, known[name], preset=preset, size=size, settings=divided[name])
        for name, kind in members.items()
    }
    return {**options, ENSEMBLE: own} if own else options


def divide_settings(
    settings: Sequence[str], known: Mapping[str, Collection[str]]
) -> dict[str, list[str]]:
    """Give each setting to whom it is for; see ``build_detector``.

    Args:
        settings: as given.
        known: the options that each member, and the ensemble itself, has.

    Raises:
        UsageError: it is for nobody.
    """
    divided: dict[str, list[str]] = {name: [] for name in known}
    for setting in settings:
        option, equals, value = setting.partition("=")
        name, dot, own = option.strip().partition(".")
        if dot:
            if name not in known:
                raise UsageError(
                    f"--set {option}: there is no member {name}; {suggestion(name, known)}"
                )
            divided[name].append(f"{own}{equals}{value}")
            continue
        plain = name.replace("-", "_")
        takers = [each for each, options in known.items() if plain in options and each != ENSEMBLE]
        if not takers:
            every = {each for options in known.values() for each in options}
            raise UsageError(
                f"--set {option}: no member has such an option; {suggestion(plain, every)}"
            )
        for taker in takers:
            divided[taker].append(setting)
    return divided


def _read(
    method: str, known: Collection[str], *, preset: str, size: int | None, settings: Sequence[str]
) -> dict[str, Any]:
    options = parse_settings(settings, known, method)
    if size is not None:
        if "image_size" in options:
            raise UsageError("--size and --set image_size are the same option: give one of them")
        options["image_size"] = size
    if "preset" in options:
        raise UsageError("--set preset: write it as --preset")
    return {"preset": preset, **options}

"""``--set option=value``."""

from __future__ import annotations

from typing import Any

import pytest

from oddlens.cli.options import parse_settings
from oddlens.errors import UsageError

KNOWN = ["image_size", "mask_sizes", "fusion", "refine"]


@pytest.mark.parametrize(
    ("setting", "read"),
    [
        ("image_size=64", {"image_size": 64}),
        ("image-size=64", {"image_size": 64}),
        ("mask_sizes=[2, 4]", {"mask_sizes": [2, 4]}),
        ("fusion=median", {"fusion": "median"}),
        ("fusion=a=b", {"fusion": "a=b"}),
        ("refine=true", {"refine": True}),
        ("refine=False", {"refine": False}),
        ("refine=null", {"refine": None}),
        ("fusion=", {"fusion": ""}),
    ],
)
def test_values(setting: str, read: dict[str, Any]) -> None:
    assert parse_settings([setting], KNOWN, "ssm") == read


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["image_size"], "--set image_size: write it as option=value"),
        (["=3"], "--set =3: write it as option=value"),
        (["mask_size=3"], "ssm has no such option; did you mean mask_sizes?"),
        (["zzz=3"], "there are fusion, image_size, mask_sizes, refine"),
        (["refine=1", "refine=0"], "--set refine: given twice"),
    ],
)
def test_wrong_settings(settings: list[str], message: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_settings(settings, KNOWN, "ssm")
    assert message in str(error.value)

"""Methods are found by name, and a wrong name is answered with the right one."""

from __future__ import annotations

import subprocess
import sys

import pytest

from oddlens.detector import Detector
from oddlens.detectors import METHODS, get_method
from oddlens.detectors.ssm import SSM
from oddlens.errors import UsageError


@pytest.mark.parametrize("name", ["ssm", "SSM"])
def test_a_method_is_found_by_its_name(name: str) -> None:
    assert get_method(name) is SSM


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_keeps_the_contract(name: str) -> None:
    method = get_method(name)
    assert issubclass(method, Detector)
    assert method.method == name
    for option, info in method.options().items():
        assert info.help, f"option {option} has no help"
        assert getattr(method().config, option) == info.default


def test_a_wrong_name_is_answered_with_the_right_one() -> None:
    with pytest.raises(UsageError, match="no method 'sssm': did you mean ssm"):
        get_method("sssm")


def test_a_name_like_no_other_is_answered_with_all_there_are() -> None:
    with pytest.raises(UsageError, match=r"no method 'patchcore': there are .*ssm"):
        get_method("patchcore")


def test_asking_which_methods_there_are_loads_none_of_them() -> None:
    code = "import sys, oddlens.detectors as d; d.METHODS; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

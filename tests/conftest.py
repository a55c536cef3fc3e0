"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# A busy machine is not a failure: how long an example takes is nothing that a test may judge.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

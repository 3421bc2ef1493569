"""Fixtures for pytest: write ``pytest_plugins = ["lambdacat.testing.fixtures"]`` in ``conftest.py``.

Or import the ones you want there: ``from lambdacat.testing.fixtures import virtual_clock``.
"""

from __future__ import annotations

import pytest

from lambdacat.testing.clock import VirtualClock


@pytest.fixture
def virtual_clock() -> VirtualClock:
    """A clock at 0 that moves when slept on, for ``run(plan, value, context=Context(clock=virtual_clock))``."""
    return VirtualClock()

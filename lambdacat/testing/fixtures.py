"""Fixtures for pytest: write ``pytest_plugins = ["lambdacat.testing.fixtures"]`` in ``conftest.py``.

Or import the ones you want there: ``from lambdacat.testing.fixtures import virtual_clock``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from lambdacat.testing.clock import VirtualClock
from lambdacat.testing.loop import virtual_run


@pytest.fixture
def virtual_clock() -> VirtualClock:
    """A clock at 0 that moves when slept on, for ``run(plan, value, context=Context(clock=virtual_clock))``."""
    return VirtualClock()


@pytest.fixture(params=["asyncio", "trio"])
def virtual_loop(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Runs an async function on virtual time, in a test for each loop: ``virtual_loop(arun, plan, value)``."""
    return partial(virtual_run, backend=request.param)

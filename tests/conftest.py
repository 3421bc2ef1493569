"""Hypothesis profiles, and fixtures for every test."""

import gc
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from lambdacat.testing.fixtures import virtual_clock
from lambdacat.tools.corpus import open_stdlib

__all__ = ["virtual_clock"]

_QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]

# Derandomized: a failure here is a failure everywhere. What rotates is in the sweeps, which print their seeds.
settings.register_profile(
    "dev", max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=_QUIET
)
settings.register_profile("ci", settings.get_profile("dev"), max_examples=300)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


def pytest_collection_finish() -> None:
    """Thousands of collected tests are no garbage, and what a test leaves need not be found at once."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache for every test that only reads one, with the library in it; ``XDG_CACHE_HOME`` may name its parent."""
    folder = tmp_path_factory.mktemp("library") / "lambdacat"
    open_stdlib(folder)
    return folder

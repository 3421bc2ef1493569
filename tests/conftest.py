"""Hypothesis profiles, and fixtures for every test."""

import os

from hypothesis import HealthCheck, settings

from lambdacat.testing.fixtures import virtual_clock

__all__ = ["virtual_clock"]

_QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]

# Derandomized: a failure here is a failure everywhere. What rotates is in the sweeps, which print their seeds.
settings.register_profile(
    "dev", max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=_QUIET
)
settings.register_profile("ci", settings.get_profile("dev"), max_examples=300)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

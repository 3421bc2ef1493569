"""Bounds on how often, how many at once, and when not at all: for ``limited``, ``guarded`` and ``retry``."""

from lambdacat.guard.breaker import Breaker
from lambdacat.guard.concurrency import Concurrency
from lambdacat.guard.keyed import Keyed
from lambdacat.guard.rate import Rate
from lambdacat.guard.retries import Retries

__all__ = ["Breaker", "Concurrency", "Keyed", "Rate", "Retries"]

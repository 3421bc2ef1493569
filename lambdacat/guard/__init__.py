"""Bounds on how often and how many at once: limiters for ``p.limited(...)``."""

from lambdacat.guard.concurrency import Concurrency
from lambdacat.guard.rate import Rate

__all__ = ["Concurrency", "Rate"]

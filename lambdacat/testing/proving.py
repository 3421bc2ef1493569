"""Laws as functions, and how one is tried on many drawn examples."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from typing import Any, Protocol, TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")


class Draw(Protocol):
    """Gives an example of a strategy."""

    def __call__(self, strategy: SearchStrategy[T], /) -> T:
        """One example."""


Claim = Callable[[Draw], None]
"""Draws examples and raises ``AssertionError`` when the law fails on them."""


def law_name(law: Callable[..., object]) -> str:
    """The words of a law: the name of its function, spaced."""
    return law.__name__.replace("_", " ")


def examples_from(values: SearchStrategy[T] | Collection[T]) -> SearchStrategy[T]:
    """A strategy, given as one or as the values themselves."""
    return values if isinstance(values, SearchStrategy) else st.sampled_from(list(values))


def prove(name: str, claim: Claim, *, max_examples: int, start: int | None = None) -> int:
    """Try the law ``name`` on ``max_examples`` examples; how many there were.

    ``start`` seeds the draws; None draws the same ones every time. Errors: ``AssertionError`` whose first line names
    the law and shows the least failing example.
    """
    tried = 0

    @settings(
        max_examples=max_examples,
        deadline=None,
        database=None,
        derandomize=start is None,
        report_multiple_bugs=False,
        # The phase that explains a failure traces every line: seconds, for what the message already shows.
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def hold(data: Any) -> None:
        nonlocal tried
        tried += 1
        try:
            claim(data.draw)
        except AssertionError as broken:
            raise AssertionError(f"law '{name}' does not hold: {broken}") from broken.__cause__
        except HypothesisException:
            raise  # its own way to leave an example
        except Exception as error:
            raise AssertionError(f"law '{name}' does not hold: checking it raised {error!r}") from error

    (hold if start is None else seed(start)(hold))()
    return tried


def rotating_seed() -> int:
    """A seed that differs from run to run: print it, so that a failure can be drawn again."""
    return random.SystemRandom().randrange(2**32)

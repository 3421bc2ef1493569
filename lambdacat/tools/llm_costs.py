"""What asking a model costs: reserved before a request is sent, settled by what the service says it used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from threading import Lock
from typing import Any, Final, final

from attrs import Attribute, field, frozen

from lambdacat.context import Context
from lambdacat.fault import Unpriced
from lambdacat.tools.llm_values import Message, ToolSchema, Usage, prompt_tokens, tokens_of

_MILLION: Final = 1_000_000


def _rate(_: object, attribute: Attribute[float], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < inf:
        raise ValueError(f"{attribute.name} is money for a million tokens, finite and not negative, not {value!r}")


@final
@frozen(kw_only=True)
class Price:
    """What a model costs. Units: money in the caller's currency, for a million tokens."""

    input: float = field(validator=_rate)
    output: float = field(validator=_rate)

    def of(self, usage: Usage) -> float:
        """What so many tokens cost."""
        return (usage.prompt * self.input + usage.completion * self.output) / _MILLION


@final
class Meter:
    """Books the requests of one client with the contexts of the steps that make them.

    Law: what a step has reserved is never less than what all its requests under way may cost together.
    """

    __slots__ = ("_lock", "_model", "_prices", "_under_way")

    def __init__(self, model: str, prices: Mapping[str, Price] | None = None) -> None:
        for name, price in (prices or {}).items():
            if not isinstance(price, Price):
                raise TypeError(f"the price of {name} is a Price, not {price!r}")
        self._model = model
        self._prices = dict(prices or {})
        self._lock = Lock()
        # By identity, which stays taken: a request that is under way holds its context.
        self._under_way: dict[int, list[Usage]] = {}

    def opened(
        self,
        context: Context | None,
        messages: Sequence[Message],
        tools: Sequence[ToolSchema] = (),
        max_tokens: int | None = None,
    ) -> Bill:
        """The bill of a request that may be sent. Errors: ``OverBudget``; ``Unpriced`` where a cap cannot be kept."""
        expected = Usage(prompt_tokens(messages, tools), max_tokens or 0)
        if context is not None:
            self._check(context, max_tokens)
            with self._lock:
                row = [*self._under_way.get(id(context), ()), expected]
                # A step reserves so much in all, however many requests ask at once.
                context.reserve(tokens=sum(one.total for one in row), money=sum(map(self._cost, row)))
                self._under_way[id(context)] = row
        return Bill(self, context, expected)

    def _check(self, context: Context, max_tokens: int | None) -> None:
        left = context.left
        if max_tokens is None and (left.tokens < inf or left.money < inf):
            raise Unpriced("the budget", f"{self._model} may answer at any length: give max_tokens=")
        if left.money < inf and self._model not in self._prices:
            raise Unpriced("the budget", f"it caps money, and nobody knows what {self._model} costs: give prices=")

    def _cost(self, usage: Usage) -> float:
        price = self._prices.get(self._model)
        return 0.0 if price is None else price.of(usage)

    def spend(self, context: Context, usage: Usage) -> None:
        """Enter what was used."""
        context.spend(tokens=usage.total, money=self._cost(usage))

    def close(self, context: Context, expected: Usage) -> None:
        """A request is no longer under way."""
        with self._lock:
            row = self._under_way[id(context)]
            row.remove(expected)
            if not row:
                del self._under_way[id(context)]


@final
class Bill:
    """One request on a meter, for ``with``: what is not settled costs nothing, unless part of an answer came."""

    __slots__ = ("_context", "_expected", "_heard", "_meter", "_settled")

    def __init__(self, meter: Meter, context: Context | None, expected: Usage) -> None:
        self._meter = meter
        self._context = context
        self._expected = expected
        self._heard = 0
        self._settled = False

    def hear(self, text: str, beside: int = 0) -> None:
        """Part of an answer came, with so many characters beside: now the request costs something, however it ends."""
        self._heard += len(text) + beside

    def settle(self, reported: Usage | None, *answer: str) -> Usage:
        """What the request used: as reported, or else by its characters."""
        self._settled = True
        usage = Usage(self._expected.prompt, tokens_of(*answer)) if reported is None else reported
        if self._context is not None:
            self._meter.spend(self._context, usage)
        return usage

    def __enter__(self) -> Bill:
        return self

    def __exit__(self, *_: object) -> None:
        if self._heard and not self._settled:
            self.settle(Usage(self._expected.prompt, -(-self._heard // 4)))
        if self._context is not None:
            self._meter.close(self._context, self._expected)

"""What the model of a research run was asked and what it used, counted where requests are made."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import Any, final

from attrs import evolve, frozen

from lambdacat.context import Context
from lambdacat.tools.llm_model import LLM, Model, Options
from lambdacat.tools.llm_values import Completion, Prompt, ToolSchema


@final
@frozen(kw_only=True)
class Cost:
    """What a model was asked for in one run. Units: ``seconds`` that requests took, as a sum."""

    calls: int = 0
    tokens: int = 0
    money: float = 0.0
    """In the currency of the prices; 0 where none are known."""
    seconds: float = 0.0
    retries: int = 0
    """How many of the calls were not the first try."""


@final
class Metered(Model):
    """A model that counts what it is asked. Law: what it counts is what the budgets of the run are charged."""

    def __init__(self, llm: LLM) -> None:
        self._llm = llm
        self.cost = Cost()
        """Of all requests that have ended, or are under way."""

    def __repr__(self) -> str:
        return f"Metered({self._llm!r})"

    async def complete(
        self,
        messages: Prompt,
        *,
        tools: Sequence[ToolSchema] = (),
        max_tokens: int | None = None,
        temperature: float | None = None,
        context: Context | None = None,
    ) -> Completion:
        """One answer."""
        with self._seen(context) as seen:
            options = Options(tools=tools, max_tokens=max_tokens, temperature=temperature, context=seen)
            return await self._llm.complete(messages, **options)

    async def stream(
        self,
        messages: Prompt,
        *,
        tools: Sequence[ToolSchema] = (),
        max_tokens: int | None = None,
        temperature: float | None = None,
        context: Context | None = None,
    ) -> AsyncGenerator[str | Completion, None]:
        """The answer's text in chunks as they come, and at last the whole ``Completion``."""
        with self._seen(context) as seen:
            options = Options(tools=tools, max_tokens=max_tokens, temperature=temperature, context=seen)
            async with aclosing(self._llm.stream(messages, **options)) as chunks:
                async for chunk in chunks:
                    yield chunk

    @contextmanager
    def _seen(self, context: Context | None) -> Iterator[Context | None]:
        """The context of a request, through which what it spends is seen."""
        if context is None or context._call is None:
            yield context
            return
        call, began = _Watched(context._call, self), context.now()
        try:
            yield context.calling(call)
        finally:
            # A request that its budget refused was never made.
            if call.reserved:
                retry = int(context.attempt > 1)
                took = max(0.0, context.now() - began)
                cost = self.cost
                self.cost = evolve(
                    cost, calls=cost.calls + 1, retries=cost.retries + retry, seconds=cost.seconds + took
                )


@final
class _Watched:
    """A call of a step, with what is spent in it counted."""

    def __init__(self, call: Any, meter: Metered) -> None:
        self._call = call
        self._meter = meter
        self.reserved = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    def reserve(self, tokens: int, money: float) -> None:
        self._call.reserve(tokens, money)
        self.reserved = True

    def spend(self, tokens: int, money: float) -> None:
        cost = self._meter.cost
        self._meter.cost = evolve(cost, tokens=cost.tokens + tokens, money=cost.money + money)
        self._call.spend(tokens, money)

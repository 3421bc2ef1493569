"""A language model that says what it was told to say."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from threading import Lock
from typing import Any, TypeAlias, final

from attrs import evolve

from lambdacat.context import Context
from lambdacat.tools.llm_costs import Bill, Meter, Price
from lambdacat.tools.llm_model import Model
from lambdacat.tools.llm_values import Completion, Message, Prompt, ToolCall, ToolSchema, conversation

Said: TypeAlias = str | ToolCall | tuple[ToolCall, ...] | Completion | Exception
Line: TypeAlias = Said | Callable[[tuple[Message, ...]], Said]
"""An answer: a text, calls of tools, a whole completion, an exception to raise, or a function of the prompt."""


@final
class ScriptedLLM(Model):
    """A model that gives these answers, one to each request, and remembers what it was asked; for tests and dry runs.

    ``then`` answers all that comes after. It never waits, so that it answers under ``run`` too. What a request uses is
    characters / 4 unless a ``Completion`` says otherwise, and budgets are kept as with any other model.
    Errors: ``AssertionError`` when it is asked more often than it has answers.

    >>> llm = ScriptedLLM("a sheaf", then=lambda messages: messages[-1].content.upper())
    >>> llm.complete_sync("what is it?").text, llm.complete_sync("really?").text
    ('a sheaf', 'REALLY?')
    >>> [prompt[-1].content for prompt in llm.prompts]
    ['what is it?', 'really?']
    """

    def __init__(
        self,
        *lines: Line,
        then: Line | None = None,
        model: str = "scripted",
        prices: Mapping[str, Price] | None = None,
        max_tokens: int | None = None,
    ) -> None:
        for line in (*lines, *(() if then is None else (then,))):
            if not isinstance(line, (str, ToolCall, tuple, Completion, Exception)) and not callable(line):
                raise TypeError(f"an answer is a text, calls, a Completion, an exception or a function, not {line!r}")
        self._lines = lines
        self._then = then
        self._model = model
        self._max_tokens = max_tokens
        self._meter = Meter(model, prices)
        self._lock = Lock()
        self._prompts: list[tuple[Message, ...]] = []

    @property
    def prompts(self) -> tuple[tuple[Message, ...], ...]:
        """What it was asked, earliest first; what a budget refused it was never asked."""
        return tuple(self._prompts)

    def __repr__(self) -> str:
        return f"ScriptedLLM({self._model}, {len(self._lines)} answers)"

    async def complete(
        self,
        messages: Prompt,
        *,
        tools: Sequence[ToolSchema] = (),
        max_tokens: int | None = None,
        temperature: float | None = None,
        context: Context | None = None,
    ) -> Completion:
        """The next answer."""
        said = conversation(messages)
        with self._meter.opened(context, said, tools, self._most(max_tokens)) as bill:
            return self._settled(bill, self._next(said))

    async def stream(
        self,
        messages: Prompt,
        *,
        tools: Sequence[ToolSchema] = (),
        max_tokens: int | None = None,
        temperature: float | None = None,
        context: Context | None = None,
    ) -> AsyncGenerator[str | Completion, None]:
        """The next answer, word by word."""
        said = conversation(messages)
        with self._meter.opened(context, said, tools, self._most(max_tokens)) as bill:
            answer = self._next(said)
            for word in re.findall(r"\s*\S+\s*$|\s*\S+|\s+", answer.text):
                bill.hear(word)
                if context is not None:
                    context.emit(word)
                yield word
            answer = self._settled(bill, answer)
        yield answer

    def _most(self, max_tokens: int | None) -> int | None:
        return self._max_tokens if max_tokens is None else max_tokens

    def _settled(self, bill: Bill, answer: Completion) -> Completion:
        calls = (call.name + call.arguments for call in answer.tool_calls)
        return evolve(answer, usage=bill.settle(answer.usage if answer.usage.total else None, answer.text, *calls))

    def _next(self, said: tuple[Message, ...]) -> Completion:
        with self._lock:
            index = len(self._prompts)
            self._prompts.append(said)
        line: Any = self._lines[index] if index < len(self._lines) else self._then
        if callable(line):
            line = line(said)
        match line:
            case None:
                asked = said[-1].content
                raise AssertionError(f"the script has {len(self._lines)} answers, and this is one more: {asked!r}")
            case Exception():
                raise line.with_traceback(None)
            case Completion():
                return evolve(line, model=line.model or self._model)
            case str():
                return Completion(line, model=self._model)
            case ToolCall():
                return Completion(tool_calls=(line,), model=self._model, finish="tool_calls")
            case _:
                return Completion(tool_calls=line, model=self._model, finish="tool_calls")

"""What every language model can do, and the part of it that follows from ``complete`` and ``stream``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeAlias, TypedDict, TypeVar, Unpack

from returns.result import Failure, Success

from lambdacat.context import Context
from lambdacat.fault import Denied, OverBudget, Unanswered
from lambdacat.tools.llm_refusals import needs
from lambdacat.tools.llm_values import BadAnswer, Completion, Message, ModelError, Prompt, ToolSchema, conversation

T = TypeVar("T")
Asked: TypeAlias = Success[Completion] | Failure[Exception]
"""What came of one of many: a completion, or the exception that says why there is none."""

EXPECTED = (ModelError, Unanswered, Denied, OverBudget)
"""How asking can fail; whatever else is raised is a bug."""


class Options(TypedDict, total=False):
    """What may be said of any request; spelt out so that a misspelt one is an error."""

    tools: Sequence[ToolSchema]
    max_tokens: int | None
    """The longest answer. Units: tokens."""
    temperature: float | None
    context: Context | None
    """The context of the step that asks: budgets are kept, and chunks are emitted, through it."""


class LLM(Protocol):
    """A language model. Errors: ``ModelError``, ``Unanswered``; under a budget also ``OverBudget`` and ``Denied``."""

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
        ...

    def stream(
        self,
        messages: Prompt,
        *,
        tools: Sequence[ToolSchema] = (),
        max_tokens: int | None = None,
        temperature: float | None = None,
        context: Context | None = None,
    ) -> AsyncGenerator[str | Completion, None]:
        """The answer's text in chunks as they come, and at last the whole ``Completion``."""
        ...

    async def batch(self, many: Iterable[Prompt], *, limit: int = 8, **options: Unpack[Options]) -> tuple[Asked, ...]:
        """An answer to each, in order, up to ``limit`` asked at once; one that fails is its exception."""
        ...

    async def structured(self, messages: Prompt, kind: type[T], **options: Unpack[Options]) -> T:
        """An answer that is a value of a type. Errors: ``BadAnswer``, also after one repair, with the place."""
        ...


class Model(ABC):
    """A language model of which two things are known, ``complete`` and ``stream``: the rest of an ``LLM`` follows."""

    @abstractmethod
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

    @abstractmethod
    def stream(
        self,
        messages: Prompt,
        *,
        tools: Sequence[ToolSchema] = (),
        max_tokens: int | None = None,
        temperature: float | None = None,
        context: Context | None = None,
    ) -> AsyncGenerator[str | Completion, None]:
        """The answer's text in chunks as they come, and at last the whole ``Completion``.

        Whoever may leave before the end wraps it in ``contextlib.aclosing``, so that the request ends there and then.
        """

    async def batch(self, many: Iterable[Prompt], *, limit: int = 8, **options: Unpack[Options]) -> tuple[Asked, ...]:
        """An answer to each, in order, up to ``limit`` asked at once; one that fails is its exception.

        ``many`` is read as places come free. Errors: what is no way to fail, a bug, ends it all.
        """
        from anyio import create_task_group

        if type(limit) is not int or limit < 1:
            raise ValueError(f"limit is a whole number of at least 1, not {limit!r}")
        rest, done = enumerate(many), dict[int, Asked]()

        async def work() -> None:
            for index, messages in rest:
                try:
                    done[index] = Success(await self.complete(messages, **options))
                except EXPECTED as error:
                    done[index] = Failure(error)

        async with create_task_group() as workers:
            for _ in range(limit):
                workers.start_soon(work)
        return tuple(done[index] for index in range(len(done)))

    async def structured(self, messages: Prompt, kind: type[T], **options: Unpack[Options]) -> T:
        """An answer that is a value of a type: a record, a built-in one, or what else msgspec reads.

        The schema goes with the request. An answer that does not fit goes back once, with what is wrong and where.
        Errors: ``BadAnswer`` if the second one does not fit either, with the place; ``TypeError`` for what no JSON is.
        """
        needs("msgspec")
        from lambdacat.tools import llm_wire as wire

        schema = wire.schema_of(kind)
        said = (*conversation(messages), Message("user", _WANTED.format(schema=wire.as_text(schema))))
        first = await self.shaped(said, schema, **options)
        try:
            return wire.typed(first.text, kind)
        except BadAnswer as error:
            wrong = str(error)
        again = (*said, Message("assistant", first.text), Message("user", _REPAIR.format(wrong=wrong)))
        second = await self.shaped(again, schema, **options)
        try:
            return wire.typed(second.text, kind)
        except BadAnswer as error:
            wrong = f"{error}{_CUT if second.finish == 'length' else ''}"
        name = getattr(kind, "__name__", str(kind))
        raise BadAnswer(f"the model was asked twice, and gave no {name}: {wrong}", second.text)

    async def shaped(
        self, messages: tuple[Message, ...], schema: Mapping[str, Any], **options: Unpack[Options]
    ) -> Completion:
        """One answer that is to fit a JSON Schema, which the messages say too; for services that can enforce it."""
        return await self.complete(messages, **options)

    # From a thread, whether or not it runs an event loop: the request has a loop, and a thread, of its own.

    def complete_sync(self, messages: Prompt, **options: Unpack[Options]) -> Completion:
        """``complete``, waited for in this thread."""
        return _waited(partial(self.complete, messages, **options))

    def structured_sync(self, messages: Prompt, kind: type[T], **options: Unpack[Options]) -> T:
        """``structured``, waited for in this thread."""
        return _waited(partial(self.structured, messages, kind, **options))

    def batch_sync(self, many: Iterable[Prompt], *, limit: int = 8, **options: Unpack[Options]) -> tuple[Asked, ...]:
        """``batch``, waited for in this thread."""
        return _waited(partial(self.batch, many, limit=limit, **options))

    def stream_sync(self, messages: Prompt, **options: Unpack[Options]) -> Iterator[str | Completion]:
        """``stream``, waited for in this thread. Closing the iterator, or dropping it, ends the request."""
        from anyio.from_thread import start_blocking_portal

        with start_blocking_portal() as portal:
            chunks = self.stream(messages, **options)
            try:
                while True:
                    chunk = portal.call(_next, chunks)
                    if chunk is None:
                        return
                    yield chunk
            finally:
                portal.call(chunks.aclose)


async def _next(chunks: AsyncGenerator[str | Completion, None]) -> str | Completion | None:
    # A StopAsyncIteration cannot be the result of a call in another thread.
    return await anext(chunks, None)


def _waited(ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
    from anyio.from_thread import start_blocking_portal

    with start_blocking_portal() as portal:
        found: T = portal.call(ask)
        return found


_WANTED = "Answer with JSON alone, no other words, that fits this JSON Schema:\n{schema}"
_REPAIR = "That does not fit: {wrong}\nAnswer again, with the whole JSON alone."
_CUT = "; the answer was cut off at its longest"

"""Asking a model as a step of a plan."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from inspect import Parameter, Signature
from typing import Any, TypedDict, TypeVar, Unpack, final, overload

from attrs import field, frozen

from lambdacat.bound import Estimate, Resource
from lambdacat.context import Key
from lambdacat.leaf import task
from lambdacat.optics import Lens
from lambdacat.path import lens
from lambdacat.place import PlanError
from lambdacat.plan import Plan
from lambdacat.tools.llm_model import LLM
from lambdacat.tools.llm_values import Completion, Prompt, ToolSchema

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
S = TypeVar("S")
T = TypeVar("T")
_TEXT: Any = str


class StepOptions(TypedDict, total=False):
    """What may be said of the step, beside what it asks; spelt out so that a misspelt one is an error."""

    name: str
    """Words for faults and traces; ``ask_model`` by default."""
    tools: Sequence[ToolSchema]
    """What the model may call; with ``gives=Completion``, for the calls are part of that."""
    max_tokens: int
    """The longest answer, which a budget of tokens or money wants to know. Units: tokens."""
    temperature: float
    emits: bool
    """Whether the text is streamed, each chunk an ``Emitted`` event of the run."""
    idempotent: bool
    """Whether an answer may stand for a later one: ``cached`` wants True."""
    resources: Sequence[Resource]
    estimate: Estimate
    """What ``dry_run`` reads; ``Estimate(reserves=True)`` by default, with which the request reserves by itself."""


@final
@frozen
class Asking:
    """The action of such a step: values and a context in, an answer out."""

    llm: LLM | Key[LLM]
    prompt: Callable[..., Prompt]
    gives: Any
    count: int
    """How many values it is given."""
    emits: bool
    tools: tuple[ToolSchema, ...] = field(hash=False)
    limits: tuple[tuple[str, float], ...]

    @property
    def __signature__(self) -> Signature:
        row = [Parameter(f"value_{n}", Parameter.POSITIONAL_ONLY) for n in range(self.count)]
        return Signature([*row, Parameter("context", Parameter.POSITIONAL_ONLY)])

    async def __call__(self, *given: Any) -> Any:
        *values, context = given
        llm: Any = context[self.llm] if isinstance(self.llm, Key) else self.llm
        said = self.prompt(*values)
        options = {**dict(self.limits), "tools": self.tools, "context": context}
        if self.gives is not str and self.gives is not Completion:
            return await llm.structured(said, self.gives, **options)
        if self.emits:
            answer = await _last(llm.stream(said, **options))
        else:
            answer = await llm.complete(said, **options)
        return answer if self.gives is Completion else answer.text


async def _last(chunks: AsyncGenerator[str | Completion, None]) -> Any:
    last: str | Completion = ""
    async with aclosing(chunks):
        async for chunk in chunks:
            last = chunk
    return last


@overload
def ask_model(llm: LLM | Key[LLM], prompt: Callable[[A], Prompt], **options: Unpack[StepOptions]) -> Plan[A, str]: ...
@overload
def ask_model(
    llm: LLM | Key[LLM], prompt: Callable[[A], Prompt], *, gives: type[T], **options: Unpack[StepOptions]
) -> Plan[A, T]: ...
@overload
def ask_model(
    llm: LLM | Key[LLM], prompt: Callable[[S], Prompt], *, into: Lens[S, str], **options: Unpack[StepOptions]
) -> Plan[S, S]: ...
@overload
def ask_model(
    llm: LLM | Key[LLM],
    prompt: Callable[[S], Prompt],
    *,
    into: Lens[S, T],
    gives: type[T],
    **options: Unpack[StepOptions],
) -> Plan[S, S]: ...
@overload
def ask_model(
    llm: LLM | Key[LLM],
    prompt: Callable[[A], Prompt],
    *,
    reads: Lens[S, A],
    into: Lens[S, str],
    **options: Unpack[StepOptions],
) -> Plan[S, S]: ...
@overload
def ask_model(
    llm: LLM | Key[LLM],
    prompt: Callable[[A], Prompt],
    *,
    reads: Lens[S, A],
    into: Lens[S, T],
    gives: type[T],
    **options: Unpack[StepOptions],
) -> Plan[S, S]: ...
@overload
def ask_model(
    llm: LLM | Key[LLM],
    prompt: Callable[[A, B], Prompt],
    *,
    reads: tuple[Lens[S, A], Lens[S, B]],
    into: Lens[S, str],
    **options: Unpack[StepOptions],
) -> Plan[S, S]: ...
@overload
def ask_model(
    llm: LLM | Key[LLM],
    prompt: Callable[[A, B], Prompt],
    *,
    reads: tuple[Lens[S, A], Lens[S, B]],
    into: Lens[S, T],
    gives: type[T],
    **options: Unpack[StepOptions],
) -> Plan[S, S]: ...
@overload
def ask_model(
    llm: LLM | Key[LLM],
    prompt: Callable[[A, B, C], Prompt],
    *,
    reads: tuple[Lens[S, A], Lens[S, B], Lens[S, C]],
    into: Lens[S, str],
    **options: Unpack[StepOptions],
) -> Plan[S, S]: ...
@overload
def ask_model(
    llm: LLM | Key[LLM],
    prompt: Callable[[A, B, C], Prompt],
    *,
    reads: tuple[Lens[S, A], Lens[S, B], Lens[S, C]],
    into: Lens[S, T],
    gives: type[T],
    **options: Unpack[StepOptions],
) -> Plan[S, S]: ...
def ask_model(
    llm: Any,
    prompt: Any,
    *,
    reads: Any = None,
    into: Any = None,
    gives: Any = _TEXT,
    **options: Unpack[StepOptions],
) -> Any:
    """A step that asks a model: what ``prompt`` makes of its input goes out, and what comes back is what it ``gives``.

    ``gives=str`` is the text, ``gives=Completion`` all of it with the tool calls, any other type is structured output.
    ``into`` is where in a state the answer goes, ``reads`` what the prompt is made of: one lens or several, and without
    them the whole state. ``llm`` may be a ``Key``; each run's context then provides it. Under a budget each request
    reserves what it may cost before it is sent. Errors: ``PlanError`` on what cannot be asked.
    """
    _check(llm, prompt, reads, into, gives, options)
    if into is not None and reads is None:
        reads = lens(into.root, lambda state: state)
    limits = tuple((word, options[word]) for word in ("max_tokens", "temperature") if word in options)
    count = len(reads) if isinstance(reads, tuple) else 1
    tools, emits = tuple(options.get("tools", ())), options.get("emits", False)
    known: Any = {word: options[word] for word in ("idempotent", "resources") if word in options}
    step: Any = task(
        name=options.get("name", "ask_model"),
        estimate=options.get("estimate", Estimate(reserves=True)),
        **({} if into is None else {"reads": reads, "writes": into}),
        **known,
    )
    return step(Asking(llm, prompt, gives, count, emits, tools, limits))


def _check(llm: Any, prompt: Any, reads: Any, into: Any, gives: Any, options: StepOptions) -> None:
    unknown = sorted(options.keys() - StepOptions.__annotations__.keys())
    if unknown:
        raise PlanError(f"ask_model has no option {unknown[0]!r}; it has {', '.join(StepOptions.__annotations__)}")
    if not isinstance(llm, Key) and not hasattr(llm, "complete"):
        raise PlanError(f"ask_model wants a model or a Key for one, not {llm!r}")
    if not callable(prompt):
        raise PlanError(f"prompt is a function that makes a text or messages, not {prompt!r}")
    if reads is not None and into is None:
        raise PlanError("reads= says what of a state is asked about, and there is no into= for the answer")
    if into is not None and not isinstance(into, Lens):
        raise PlanError(f"into is one lens, not {into!r}; make one with lens(...)")
    if options.get("emits") and gives is not str and gives is not Completion:
        raise PlanError("emits=True streams text, and a typed answer is none until it is whole")
    if options.get("tools") and gives is not Completion:
        raise PlanError("with tools= the answer may be calls: say gives=Completion")

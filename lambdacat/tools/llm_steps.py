"""Asking a model as a step of a plan."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from inspect import Parameter, Signature
from typing import Any, TypedDict, TypeVar, Unpack, final, overload

from lambdacat.bound import Estimate, Resource
from lambdacat.callables import check_plain
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
class Asking:
    """The action of such a step: values and a context in, an answer out. Law: equal where all it was made of is."""

    __slots__ = ("__annotations__", "__signature__", "_parts", "emits", "gives", "llm", "options", "prompt")

    def __init__(self, llm: Any, prompt: Any, gives: Any, count: int, emits: bool, options: dict[str, Any]) -> None:
        self.llm = llm
        self.prompt = prompt
        self.gives = gives
        self.emits = emits
        self.options = options
        self._parts = (llm, prompt, gives, count, emits)
        # As a function says it: journals read there what they will have to keep, plans how many values it is given.
        self.__annotations__ = {"return": gives}
        row = (*(f"value_{n}" for n in range(count)), "context")
        self.__signature__ = Signature([Parameter(name, Parameter.POSITIONAL_ONLY) for name in row])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Asking) and self._parts == other._parts and self.options == other.options

    def __hash__(self) -> int:
        return hash(self._parts)

    async def __call__(self, *given: Any) -> Any:
        *values, context = given
        llm: Any = context[self.llm] if isinstance(self.llm, Key) else self.llm
        said = self.prompt(*values)
        if self.gives is not str and self.gives is not Completion:
            return await llm.structured(said, self.gives, context=context, **self.options)
        if self.emits:
            answer = await _last(llm.stream(said, context=context, **self.options))
        else:
            answer = await llm.complete(said, context=context, **self.options)
        return answer if self.gives is Completion else answer.text


async def _last(chunks: AsyncGenerator[str | Completion, None]) -> Any:
    last: str | Completion = ""
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
    count = len(reads) if isinstance(reads, tuple) else 1
    given: dict[str, Any] = dict(options)
    asks: dict[str, Any] = {word: given[word] for word in ("tools", "max_tokens", "temperature") if word in given}
    known: Any = {word: given[word] for word in ("idempotent", "resources") if word in given}
    step: Any = task(
        name=options.get("name", "ask_model"),
        estimate=options.get("estimate", Estimate(reserves=True)),
        **({} if into is None else {"reads": reads, "writes": into}),
        **known,
    )
    return step(Asking(llm, prompt, gives, count, options.get("emits", False), asks))


def _check(llm: Any, prompt: Any, reads: Any, into: Any, gives: Any, options: StepOptions) -> None:
    unknown = sorted(options.keys() - StepOptions.__annotations__.keys())
    if unknown:
        raise PlanError(f"ask_model has no option {unknown[0]!r}; it has {', '.join(StepOptions.__annotations__)}")
    if not isinstance(llm, Key) and not hasattr(llm, "complete"):
        raise PlanError(f"ask_model wants a model or a Key for one, not {llm!r}")
    if not callable(prompt):
        raise PlanError(f"prompt is a function that makes a text or messages, not {prompt!r}")
    check_plain("ask_model", prompt)
    if reads is not None and into is None:
        raise PlanError("reads= says what of a state is asked about, and there is no into= for the answer")
    if into is not None and not isinstance(into, Lens):
        raise PlanError(f"into is one lens, not {into!r}; make one with lens(...)")
    if options.get("emits") and gives is not str and gives is not Completion:
        raise PlanError("emits=True streams text, and a typed answer is none until it is whole")
    if options.get("tools") and gives is not Completion:
        raise PlanError("with tools= the answer may be calls: say gives=Completion")

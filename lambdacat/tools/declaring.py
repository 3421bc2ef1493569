"""A tool: a plain function, or a whole plan, with what is declared of it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import cached_property
from inspect import CO_ASYNC_GENERATOR
from typing import (
    Any,
    Final,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypedDict,
    TypeVar,
    Unpack,
    final,
    overload,
)

from attrs import Factory, field, fields, frozen

from lambdacat.bound import Estimate, Resource
from lambdacat.callables import code_flags, function_of, name_of
from lambdacat.guard.concurrency import Concurrency
from lambdacat.optics import Lens
from lambdacat.place import PlanError
from lambdacat.plan import Plan
from lambdacat.tools.arguments import Derived, Given, Taking, argument, context_of, derived, derived_of_class, gives_of
from lambdacat.tools.capability import Capability, capabilities
from lambdacat.tools.checking import Schema, expected
from lambdacat.tools.fields import (
    is_estimate,
    is_limit,
    is_name,
    is_schema,
    is_text,
    model_name,
    one_of,
    own,
    positive,
    row,
)
from lambdacat.tools.grants import Grant

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")
X = TypeVar("X")

Latency: TypeAlias = Literal["fast", "medium", "slow", "very slow"]
SECONDS: Final[dict[str, float]] = {"fast": 0.1, "medium": 1.0, "slow": 10.0, "very slow": 60.0}
"""What a class of latency stands for where nothing better is known. Units: seconds."""


class ToolOptions(TypedDict, total=False):
    """What is declared of a tool; what is left out is unknown, and ``Toolbox.undeclared`` lists it."""

    description: str
    """What a model is told; the first paragraph of the docstring by default."""
    input: Mapping[str, Any]
    """The arguments as the JSON Schema of an object, in the place of annotations."""
    output: Mapping[str, Any]
    """The result as JSON Schema, in the place of the annotation."""
    reads: str | Iterable[str]
    """Resources that it reads, by name; ``()`` is none."""
    writes: str | Iterable[str]
    """Resources that it changes, by name; ``()`` is none."""
    idempotent: bool
    """Whether doing it twice equals doing it once."""
    limit: int
    """How many calls at once, in every plan and run of the process."""
    timeout: float
    """Units: seconds of one call, from its turn on where ``limit`` makes it wait."""
    latency: Latency
    """About how long a call takes, where ``estimate`` does not say: 0.1 s, 1 s, 10 s, 60 s."""
    estimate: Estimate
    """Expected cost of one call."""
    capabilities: str | Capability | Iterable[str | Capability]
    """What it needs outside the process: ``net:host``, ``fs:/path``, ``llm``, ``exec``."""
    blocking: Literal["thread", "abandon", "inline"]
    """How a plain function runs under ``arun``, as for ``task``."""
    metadata: Mapping[str, Any]
    """Anything else; never read here."""


# --- the tool ---------------------------------------------------------------------------------------------------------


def _limiter(tool: Any) -> Concurrency | None:
    # The fields are looked at after this.
    wrong = type(tool.limit) is not int or tool.limit < 1
    return None if wrong else Concurrency(tool.limit, name=f"{tool.name}, {tool.limit} at once")


@final
@frozen
class Steps:
    """What makes steps on a state in the place of calls: ``build(arguments, into)``, where lenses may be arguments."""

    signature: Callable[..., Any]
    """A function whose annotations say the arguments; never called."""
    build: Callable[[Mapping[str, Any], Any], Plan[Any, Any]]


# --- the tool --------------------------------------------------------------------------------------------------------


@final
@frozen(kw_only=True, repr=False)
class Tool(Generic[P, R_co]):
    """What ``tool`` makes of a function: called, it is that function; ``task`` makes steps of it.

    Two with a ``limit`` are equal when they are one: what counts is who shares it.
    """

    name: str = field(validator=is_name)
    action: Any = field(repr=False)
    """The function as it was written; of a whole plan the plan."""
    kind: str = field(default="function", validator=is_text)
    """``function``; of a whole plan what its owner calls it, such as ``plan``, ``agent`` or ``service``."""
    description: str = field(default="", validator=is_text, hash=False)
    input: Mapping[str, Any] | None = field(default=None, converter=own, validator=is_schema, hash=False)
    output: Mapping[str, Any] | None = field(default=None, converter=own, validator=is_schema, hash=False)
    reads: tuple[str, ...] | None = field(default=None, converter=row)
    """Resources, by name, in their order; None is that nobody said."""
    writes: tuple[str, ...] | None = field(default=None, converter=row)
    idempotent: bool | None = field(default=None, validator=one_of(True, False, None))
    limit: int | None = field(default=None, validator=is_limit)
    timeout: float | None = field(default=None, validator=positive)
    """Units: seconds."""
    latency: Latency | None = field(default=None, validator=one_of(*SECONDS, None))
    estimate: Estimate | None = field(default=None, validator=is_estimate)
    capabilities: tuple[Capability, ...] = field(default=(), converter=capabilities)
    blocking: str | None = field(default=None, validator=one_of("thread", "abandon", "inline", None))
    metadata: Mapping[str, Any] = field(factory=dict, converter=own, hash=False)
    takes_type: Any = field(default=None, repr=False, hash=False)
    """What a whole plan takes; None is the value that it is given."""
    gives_type: Any = field(default=Any, repr=False, hash=False)
    """What a whole plan gives."""
    limiter: Concurrency | None = field(init=False, repr=False, default=Factory(_limiter, takes_self=True))
    """What all of its tasks share."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """The function, called as it is: nothing is checked, bounded or counted."""
        if isinstance(self.action, (Plan, Steps)):
            raise TypeError(f"{self.name} is no function: make a step of it with task, and run that")
        result: R_co = self.action(*args, **kwargs)
        return result

    @property
    def __name__(self) -> str:
        return name_of(self.action)

    @property
    def __wrapped__(self) -> Any:
        # Where help and signatures look.
        return self.action

    def __repr__(self) -> str:
        return f"<tool {self.name}>"

    def __reduce__(self) -> Any:
        """By its name in its module, as a function: that is where it finds its limit again, which processes share."""
        import sys

        action = self.action
        found = vars(sys.modules.get(getattr(action, "__module__", ""), object)).get(
            getattr(action, "__qualname__", "")
        )
        if found is self:
            return _tool_named, (action.__module__, action.__qualname__)
        return _tool_of, ({one.name: getattr(self, one.name) for one in fields(Tool) if one.init},)

    @property
    def category(self) -> str:
        """What stands before the last dot of the name."""
        return self.name.rpartition(".")[0]

    @property
    def resources(self) -> tuple[Resource, ...]:
        """What it touches outside the state, as plans say it."""
        row = [*((name, False) for name in self.reads or ()), *((name, True) for name in self.writes or ())]
        return tuple(Resource(name, writes) for name, writes in row)

    @property
    def cost(self) -> Estimate | None:
        """What one call is expected to cost: the estimate, its seconds from the latency where it leaves them open."""
        given = self.estimate or Estimate()
        if self.latency is None or given.seconds != Estimate().seconds:
            return self.estimate
        seconds = SECONDS[self.latency]
        return Estimate(seconds=(seconds, seconds), tokens=given.tokens, money=given.money)

    @property
    def grant(self) -> Grant:
        """What it may use in strict mode."""
        return Grant(self.name, frozenset(self.reads or ()), frozenset(self.writes or ()), self.capabilities)

    @property
    def undeclared(self) -> tuple[str, ...]:
        """What nobody said of it, of ``idempotent``, ``resources`` and ``cost``."""
        said = {
            "idempotent": self.idempotent is not None,
            "resources": self.reads is not None or self.writes is not None,
            "cost": self.estimate is not None,
        }
        return tuple(what for what, known in said.items() if not known)

    @property
    def on_state(self) -> bool:
        """Whether it works on the state of a plan, so that its arguments alone are not enough."""
        whole = isinstance(self.action, Plan) and self.takes_type is None and self.input is None
        return whole or isinstance(self.action, Steps)

    # What it takes and gives -----------------------------------------------------------------------------------------

    @cached_property
    def _derived(self) -> tuple[Taking, Any, str]:
        """The arguments, the type of the result, and the parameter that gets the context."""
        action = self.action.signature if isinstance(self.action, Steps) else self.action
        if isinstance(action, Plan):
            return self._of_plan(), expected(self.name, "gives=", self.gives_type), ""
        if self.input is None:
            return derived(self.name, action)
        return Given(self.name, self.input), gives_of(self.name, action), context_of(action)

    def _of_plan(self) -> Taking:
        if self.input is not None:
            return Given(self.name, self.input)
        if self.takes_type is None:
            return Derived(self.name, ())
        return self._record or Derived(self.name, (argument(self.name, "input", self.takes_type),))

    @cached_property
    def _record(self) -> Derived | None:
        return derived_of_class(self.name, self.takes_type)

    @property
    def takes(self) -> Taking:
        """The arguments. Errors: ``PlanError`` for annotations that say nothing."""
        return self._derived[0]

    @property
    def gives(self) -> Any:
        """The type of the result; ``Any`` is that nothing was said."""
        return self._derived[1]

    @property
    def wants_context(self) -> str:
        """The parameter that gets the context of the call; empty when none does."""
        return self._derived[2]

    @cached_property
    def output_schema(self) -> Schema:
        """What the result is held against, where ``output`` says it."""
        return Schema(self.name, self.output or {})

    def input_of(self, arguments: Mapping[str, Any]) -> Any:
        """What a whole plan is given for these arguments."""
        if self.input is not None or self.takes_type is None:
            return dict(arguments)
        return arguments["input"] if self._record is None else self.takes_type(**arguments)

    def listing(self) -> dict[str, Any]:
        """The tool as models are told of it, in the form of OpenAI. Law: equal tools give the same bytes of JSON."""
        told = {"name": model_name(self.name), "description": self.description, "parameters": self.takes.schema()}
        return {"type": "function", "function": told}

    # As a step -------------------------------------------------------------------------------------------------------

    @overload
    def task(
        self: Tool[Any, Coroutine[Any, Any, X]],
        arguments: Mapping[str, object] = ...,
        /,
        *,
        into: Lens[S, X],
        **named: object,
    ) -> Plan[S, S]: ...
    @overload
    def task(
        self: Tool[Any, X], arguments: Mapping[str, object] = ..., /, *, into: Lens[S, X], **named: object
    ) -> Plan[S, S]: ...
    @overload
    def task(self, arguments: Mapping[str, object] = ..., /, *, into: tuple[()], **named: object) -> Plan[Any, Any]: ...
    @overload
    def task(
        self: Tool[Any, Coroutine[Any, Any, X]],
        arguments: Mapping[str, object] = ...,
        /,
        *,
        into: None = None,
        **named: object,
    ) -> Plan[Any, X]: ...
    @overload
    def task(
        self: Tool[Any, X], arguments: Mapping[str, object] = ..., /, *, into: None = None, **named: object
    ) -> Plan[Any, X]: ...
    def task(self, arguments: Any = None, /, *, into: Any = None, **named: Any) -> Plan[Any, Any]:
        """A call of the tool as a plan: each argument a constant, or a lens that says where in the state it stands.

        The result goes to ``into``; ``()`` drops it; left out, the plan goes from the state to the result. Arguments
        whose names are no words of Python are given as a mapping. Errors: ``PlanError`` for what is known to be wrong
        before the call, else ``ActionFailed`` with ``BadArguments`` before it and ``BadResult`` after it.
        """
        from lambdacat.tools.calling import task_of

        return task_of(self, arguments, named, into, strict=False)


def _tool_of(given: dict[str, Any]) -> Tool[Any, Any]:
    return Tool(**given)


def _tool_named(module: str, name: str) -> Any:
    from importlib import import_module

    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


# --- declaring -------------------------------------------------------------------------------------------------------


class _Declared(Protocol):
    def __call__(self, action: Callable[P, X], /) -> Tool[P, X]: ...


def tool(name: str, /, **options: Unpack[ToolOptions]) -> _Declared:
    """Declare a function as a tool: ``@tool("weather.get", ...)``. Called, it is the function that was written.

    Arguments and result are what its annotations say, or ``input`` and ``output``; a parameter ``ctx``, or one
    annotated ``Context``, gets the context. Annotations are looked up when they are first needed.
    Errors: ``PlanError`` for a declaration that cannot be.
    """
    if not isinstance(name, str):
        raise PlanError(f"a tool has a name: @tool('category.name'), not @tool on {name_of(name)}")
    unknown = sorted(options.keys() - ToolOptions.__annotations__.keys())
    if unknown:
        from difflib import get_close_matches

        close = get_close_matches(unknown[0], ToolOptions.__annotations__, n=1)
        raise PlanError(f"a tool has no option {unknown[0]!r}{f'; did you mean {close[0]!r}?' if close else ''}")
    given: Any = options

    def declared(action: Any, /) -> Tool[Any, Any]:
        if isinstance(action, Plan):
            raise PlanError(f"{name} is a whole plan: toolbox.with_plan({name!r}, plan), or give tool its .action")
        if not callable(action) or isinstance(action, Tool):
            raise PlanError(f"{name}: a tool is made of a function, not of {action!r}")
        if code_flags(action) & CO_ASYNC_GENERATOR:
            raise PlanError(
                f"{name}: an async generator gives no result; send chunks with ctx.emit and return the whole"
            )
        return Tool(name=name, action=action, **({"description": _about(action)} | given))

    return declared


def _about(action: Any) -> str:
    """The first paragraph of the docstring of what a call runs, on one line."""
    from inspect import cleandoc

    said = getattr(function_of(action), "__doc__", None) or ""
    return " ".join(cleandoc(said).partition("\n\n")[0].split())

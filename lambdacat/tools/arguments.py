"""What a tool takes and gives, as data: held against values before and after a call, and told to models as JSON Schema.

Derived from annotations by msgspec, or given as JSON Schema, which jsonschema then holds values against.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import cached_property
from typing import Any, Final, Protocol, TypeAlias, final

from attrs import field, frozen

from lambdacat.callables import name_of
from lambdacat.context import Context
from lambdacat.place import PlanError
from lambdacat.tools.checking import Problem, Schema, as_json, converted, defined, expected, loaded

Json: TypeAlias = dict[str, Any]
REQUIRED: Final[Any] = object()
"""Stands for the default of an argument that has none."""


class BadArguments(ValueError):
    """The arguments of a call are not what the tool takes; each problem is said with its path."""

    def __init__(self, tool: str, problems: Iterable[str]) -> None:
        self.tool = tool
        self.problems = tuple(problems)
        super().__init__(f"{tool}: {'; '.join(self.problems)}")

    def __reduce__(self) -> Any:
        return BadArguments, (self.tool, self.problems)


class BadResult(ValueError):
    """A tool gave something else than it says that it gives."""


class Taking(Protocol):
    """The arguments that a tool takes."""

    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def required(self) -> frozenset[str]: ...
    @property
    def open(self) -> bool:
        """Whether other names are taken as well."""

    def checked(self, values: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Problem, ...]]:
        """The values as the tool wants them, and what is wrong with each; of missing ones nothing is said."""

    def whole(self, values: Mapping[str, Any]) -> tuple[Problem, ...]:
        """What is wrong with the values together."""

    def schema(self) -> Json:
        """The arguments as the JSON Schema of an object."""


def problems_of_names(taking: Taking, given: Iterable[str], *, missing: bool = True) -> tuple[Problem, ...]:
    """Which arguments there are not, and which are wanted and not given."""
    names = set(given)
    found = []
    for name in sorted(names.difference(taking.names)) if not taking.open else ():
        close = get_close_matches(name, taking.names, n=1)
        takes = f"it takes {', '.join(taking.names)}" if taking.names else "it takes none"
        found.append(f"{name}: no such argument; {f'did you mean {close[0]!r}?' if close else takes}")
    if missing:
        found += [f"{name}: missing" for name in taking.names if name in taking.required and name not in names]
    return tuple(found)


def taken(tool: str, taking: Taking, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as the tool wants them. Errors: ``BadArguments`` with every problem."""
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise BadArguments(tool, [f"expected an object of arguments by name, got {type(given).__name__}"])
    known = {name: value for name, value in given.items() if taking.open or name in taking.names}
    values, found = taking.checked(known)
    found = (*problems_of_names(taking, given), *found)
    found = found or taking.whole(values)
    if found:
        raise BadArguments(tool, found)
    return values


# --- derived from annotations ----------------------------------------------------------------------------------------


@final
@frozen
class Argument:
    """One argument: its name, its type with what was annotated, and its default."""

    name: str
    kind: Any
    default: Any = field(default=REQUIRED, eq=False)
    about: str = ""


@final
@frozen
class Derived:
    """The arguments that annotations say."""

    tool: str
    arguments: tuple[Argument, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """In the order in which they are written."""
        return tuple(one.name for one in self.arguments)

    @property
    def required(self) -> frozenset[str]:
        """Those without a default."""
        return frozenset(one.name for one in self.arguments if one.default is REQUIRED)

    @property
    def open(self) -> bool:
        """Never."""
        return False

    def checked(self, values: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Problem, ...]]:
        made, found = dict[str, Any](), list[Problem]()
        for one in self.arguments:
            if one.name in values:
                made[one.name], problem = converted(values[one.name], one.kind, one.name)
                found += [problem] if problem else []
        return made, tuple(found)

    def whole(self, values: Mapping[str, Any]) -> tuple[Problem, ...]:
        return ()

    def schema(self) -> Json:
        properties, definitions = defined(self.tool, {one.name: one.kind for one in self.arguments})
        for one in self.arguments:
            described = dict(properties[one.name])
            if one.about:
                described["description"] = one.about
            if one.default is not REQUIRED:
                described |= _default(one.default)
            properties[one.name] = described
        required = [one.name for one in self.arguments if one.default is REQUIRED]
        made: Json = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
        return made | ({"$defs": definitions} if definitions else {})


def _default(value: Any) -> Json:
    msgspec = loaded()
    try:
        return {"default": msgspec.to_builtins(value, str_keys=True, order="deterministic")}
    except (TypeError, ValueError):
        return {}  # something that no JSON says, which the call fills in all the same


def derived(tool: str, action: Callable[..., Any]) -> tuple[Derived, Any, str]:
    """What a function takes, what it gives, and the parameter for the context, if it has one. Errors: ``PlanError``."""
    hints = hints_of(tool, action)
    arguments, context = [], ""
    for name, default in parameters_of(tool, action).items():
        kind = hints.get(name, Any)
        if kind is Context or name == "ctx":
            context = name
        else:
            arguments.append(argument(tool, name, kind, default))
    return Derived(tool, tuple(arguments)), gives_of(tool, action), context


def gives_of(tool: str, action: Callable[..., Any]) -> Any:
    """The type of what a function gives, ``Any`` where it does not say. Errors: ``PlanError``."""
    gives = _awaited(hints_of(tool, action).get("return", Any))
    return expected(tool, "what it gives", gives)


def context_of(action: Callable[..., Any]) -> str:
    """The parameter of a function with a schema that gets the context; empty when none does."""
    from inspect import signature

    return "ctx" if "ctx" in signature(action).parameters else ""


def derived_of_class(tool: str, takes: Any) -> Derived | None:
    """The fields of a record as arguments; None for what is no record."""
    is_record = isinstance(takes, type) and expected(tool, "takes=", takes) is takes
    fields = getattr(loaded().inspect.type_info(takes), "fields", None) if is_record else None
    if fields is None:
        return None
    hints = hints_of(tool, takes)
    rows = [(one.name, REQUIRED if one.required else one.default) for one in fields]
    return Derived(tool, tuple(argument(tool, name, hints.get(name, Any), default) for name, default in rows))


def argument(tool: str, name: str, kind: Any, default: Any = REQUIRED) -> Argument:
    """One argument of a type. Errors: ``PlanError`` for a type that nothing can be held against."""
    about = next((note for note in getattr(kind, "__metadata__", ()) if isinstance(note, str)), "")
    return Argument(name, expected(tool, name, kind), default, about)


def parameters_of(tool: str, action: Callable[..., Any]) -> dict[str, Any]:
    """The parameters of a function with their defaults. Errors: ``PlanError`` for those that have no name in a call."""
    from inspect import Parameter, signature

    try:
        parameters = signature(action).parameters.values()
    except (TypeError, ValueError):
        raise PlanError(
            f"{tool}: {name_of(action)} does not say what it takes; wrap it in a function that does"
        ) from None
    for one in parameters:
        if one.kind in (Parameter.POSITIONAL_ONLY, Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD):
            raise PlanError(f"{tool}: a tool's arguments have names, and {one} of {name_of(action)} has none in a call")
    return {one.name: REQUIRED if one.default is Parameter.empty else one.default for one in parameters}


def hints_of(tool: str, action: Any) -> dict[str, Any]:
    """The annotations, looked up. Errors: ``PlanError`` for one that is not there when the program runs."""
    from typing import get_type_hints

    from lambdacat.callables import function_of

    try:
        return get_type_hints(action if isinstance(action, type) else function_of(action), include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        raise PlanError(f"{tool}: an annotation of {name_of(action)} cannot be looked up: {error}") from None


def _awaited(kind: Any) -> Any:
    """What there is after awaiting."""
    from collections.abc import Awaitable, Coroutine
    from typing import get_args, get_origin

    if get_origin(kind) in (Awaitable, Coroutine):
        return get_args(kind)[-1]
    return type(None) if kind is None else kind


# --- given -----------------------------------------------------------------------------------------------------------


_ONE_BY_ONE: Final = (
    "$schema",
    "$id",
    "$defs",
    "definitions",
    "properties",
    "patternProperties",
    "additionalProperties",
)
"""What of the schema of an object says something of one property, whatever the others are."""


@final
@frozen
class Given:
    """The arguments that a JSON Schema says."""

    tool: str
    given: Mapping[str, Any] = field(hash=False)

    @cached_property
    def _whole(self) -> Schema:
        return Schema(self.tool, self.given)

    @cached_property
    def _alone(self) -> Schema:
        # Each by itself, so that what is known early is said early; the whole may not be there yet.
        return Schema(self.tool, {key: self.given[key] for key in _ONE_BY_ONE if key in self.given})

    @property
    def names(self) -> tuple[str, ...]:
        """The properties, in the order in which they are written."""
        return tuple(self.given.get("properties", ()))

    @property
    def required(self) -> frozenset[str]:
        """Those that it requires."""
        return frozenset(self.given.get("required", ()))

    @property
    def open(self) -> bool:
        """Whether others may pass, which the schema then says: so JSON Schema does unless it is told not to."""
        return self.given.get("additionalProperties", True) is not False or "patternProperties" in self.given

    def checked(self, values: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Problem, ...]]:
        made, found = dict[str, Any](), list[Problem]()
        for name, value in values.items():
            made[name], problem = as_json(value, name)
            found += [problem] if problem else []
        return made, tuple(found) or self._alone.problems(made)

    def whole(self, values: Mapping[str, Any]) -> tuple[Problem, ...]:
        return self._whole.problems(dict(values))

    def schema(self) -> Json:
        from lambdacat.merging import own_copy

        made: Json = own_copy(dict(self.given))
        return made

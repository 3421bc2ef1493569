"""Tools as actions of tasks: arguments held against the declaration, the call, the result held against it as well."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from inspect import CO_ASYNC_GENERATOR, Parameter, Signature, signature
from typing import TYPE_CHECKING, Any, Final, final

from attrs import frozen

from lambdacat.callables import code_flags, is_async, name_of
from lambdacat.context import Context
from lambdacat.merging import own_copy
from lambdacat.plan import Bind, Plan, Recover, Task
from lambdacat.regrow import rebuilt, with_action
from lambdacat.structure import Decorated
from lambdacat.tools.arguments import BadResult, taken
from lambdacat.tools.checking import Problem, as_json, converted
from lambdacat.tools.grants import Grant, confined, confined_context
from lambdacat.wiring import AWAITABLE

if TYPE_CHECKING:
    from lambdacat.tools.declaring import Tool

_ROW: Final = Parameter.POSITIONAL_ONLY


def result_of(tool: Tool[Any, Any], result: Any) -> Any:
    """The result, as it came. Errors: ``BadResult`` when it is not what the tool says that it gives."""
    problem = _wrong(tool, result)
    if problem:
        raise BadResult(f"{tool.name}: {problem}")
    return result


def _wrong(tool: Tool[Any, Any], result: Any) -> Problem:
    if tool.output is None:
        return converted(result, tool.gives, "result")[1] if tool.gives is not Any else ""
    value, problem = as_json(result, "result")
    return problem or "; ".join(tool.output_schema.problems(value, "result"))


# --- a function ------------------------------------------------------------------------------------------------------


@frozen
class _Act:
    """A tool's function as an action on values by position, or on a mapping of arguments where ``names`` is None.

    Two are equal when tool and constants are, so that plans which say the same are the same.
    """

    tool: Tool[Any, Any]
    names: tuple[str, ...] | None
    constants: tuple[tuple[str, Any], ...] = ()

    @property
    def __name__(self) -> str:
        return self.tool.name

    @property
    def __signature__(self) -> Signature:
        count = 1 if self.names is None else len(self.names)
        row = [Parameter(f"value{number}", _ROW) for number in range(count)]
        return Signature([*row, Parameter("ctx", _ROW)] if self.tool.wants_context else row)

    def arguments(self, given: tuple[Any, ...]) -> dict[str, Any]:
        """What the function is called with. Errors: ``BadArguments``."""
        wants = self.tool.wants_context
        values = given[:-1] if wants else given
        if self.names is None:
            said = values[0]
        else:
            # Constants were looked at when the task was built; what can be changed in place, each call has for itself.
            said = {name: own_copy(value) for name, value in self.constants}
            said |= zip(self.names, values, strict=True)
        made = taken(self.tool.name, self.tool.takes, said)
        return {**made, wants: given[-1]} if wants else made


@final
@frozen
class Acts(_Act):
    """A plain function."""

    def __call__(self, *given: Any) -> Any:
        result = self.tool.action(**self.arguments(given))
        return self.later(result) if AWAITABLE[type(result)] else result_of(self.tool, result)

    async def later(self, result: Any) -> Any:
        """What an awaitable gives, which a plain function returned."""
        return result_of(self.tool, await result)


@final
@frozen
class ActsLater(_Act):
    """An async function."""

    async def __call__(self, *given: Any) -> Any:
        return result_of(self.tool, await self.tool.action(**self.arguments(given)))


def act(tool: Tool[Any, Any], names: tuple[str, ...] | None, constants: Mapping[str, Any]) -> Callable[..., Any]:
    """The tool's function as an action."""
    kind = ActsLater if is_async(tool.action) else Acts
    return kind(tool, names, tuple(sorted(constants.items())))


# --- around a plan ---------------------------------------------------------------------------------------------------


@final
@frozen
class Takes:
    """Arguments, held against the declaration, as the input of the tool's plan."""

    tool: Tool[Any, Any]

    @property
    def __name__(self) -> str:
        return f"arguments of {self.tool.name}"

    def __call__(self, given: Mapping[str, Any]) -> Any:
        values = taken(self.tool.name, self.tool.takes, given)
        return self.tool.input_of(values)


@final
@frozen
class Gives:
    """The result of the tool's plan, held against the declaration."""

    tool: Tool[Any, Any]

    @property
    def __name__(self) -> str:
        return f"result of {self.tool.name}"

    def __call__(self, result: Any) -> Any:
        return result_of(self.tool, result)


@final
@frozen
class Reading:
    """The arguments of a tool from a state: constants, and what lenses read below the place that all of them share."""

    tool: str
    depth: int
    """How many steps of each lens lead to that place."""
    lenses: tuple[tuple[str, Any], ...]
    constants: tuple[tuple[str, Any], ...]

    @property
    def __name__(self) -> str:
        return f"arguments of {self.tool}"

    def __call__(self, part: Any) -> dict[str, Any]:
        said = {name: own_copy(value) for name, value in self.constants}
        return said | {name: _below(lens, self.depth).get(part) for name, lens in self.lenses}


def _below(lens: Any, depth: int) -> Any:
    """The rest of a lens after so many steps."""
    return type(lens)(None, lens.steps[depth:]) if depth else lens


# --- strict mode -----------------------------------------------------------------------------------------------------


@frozen
class _Confined:
    """An action that has what is granted and no more."""

    action: Any
    grant: Grant

    @property
    def __name__(self) -> str:
        return name_of(self.action)

    @property
    def __signature__(self) -> Signature:
        return signature(self.action)

    def __reduce__(self) -> Any:
        # The name of a function that was decorated means the task: pickle finds the function by way of that.
        home = vars(sys.modules.get(getattr(self.action, "__module__", ""), object))
        named: Any = home.get(getattr(self.action, "__qualname__", ""))
        is_decorated = isinstance(named, Task) and named.action is self.action
        return type(self), (Decorated(named, self.action.__qualname__) if is_decorated else self.action, self.grant)

    def given(self, given: tuple[Any, ...], call: Any) -> Iterable[Any]:
        """The arguments, where the context has only what was declared."""
        return [confined_context(one, call) if type(one) is Context else one for one in given]


@final
@frozen
class Confined(_Confined):
    """A plain one."""

    def __call__(self, *given: Any) -> Any:
        with confined(self.grant) as call:
            result = self.action(*self.given(given, call))
        return self.later(result) if AWAITABLE[type(result)] else result

    async def later(self, result: Any) -> Any:
        """What an awaitable gives, which a plain function returned."""
        with confined(self.grant):
            return await result


@final
@frozen
class ConfinedLater(_Confined):
    """An async one."""

    async def __call__(self, *given: Any) -> Any:
        with confined(self.grant) as call:
            return await self.action(*self.given(given, call))


@final
@frozen
class ConfinedStream(_Confined):
    """One that gives its result bit by bit."""

    async def __call__(self, *given: Any) -> AsyncGenerator[Any]:
        with confined(self.grant) as call:
            source = aiter(self.action(*self.given(given, call)))
        try:
            while True:
                # Whoever takes what is given stands outside.
                with confined(self.grant):
                    try:
                        chunk = await anext(source)
                    except StopAsyncIteration:
                        return
                yield chunk
        finally:
            with confined(self.grant):
                await source.aclose()


@final
@frozen
class ConfinedPlan:
    """A function that gives a plan, which has what is granted and no more."""

    make: Any
    grant: Grant

    @property
    def __name__(self) -> str:
        return name_of(self.make)

    def __call__(self, value: Any) -> Any:
        made = self.make(value)
        return confined_plan(made, self.grant) if isinstance(made, Plan) else made


def confined_plan(plan: Plan[Any, Any], grant: Grant) -> Plan[Any, Any]:
    """The plan in which every action has what is granted and no more. Total functions (``pure``) are left alone."""

    def change(node: Plan[Any, Any]) -> Plan[Any, Any]:
        match node:
            case Task():
                return with_action(node, _confined(node.action, grant), node.blocking)
            case Bind():
                return Bind(ConfinedPlan(node.f, grant))
            case Recover() if node.handler is not None:
                return Recover(ConfinedPlan(node.handler, grant), node.plan, node.other)
            case _:
                return node

    return rebuilt(plan, change)


def _confined(action: Any, grant: Grant) -> Any:
    if code_flags(action) & CO_ASYNC_GENERATOR:
        return ConfinedStream(action, grant)
    return (ConfinedLater if is_async(action) else Confined)(action, grant)

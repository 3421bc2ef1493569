"""A call of a tool as a plan: constants held against the declaration now, what lenses read when it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lambdacat.bound import Estimate
from lambdacat.build import gather, pure
from lambdacat.footprints import footprint
from lambdacat.leaf import task
from lambdacat.merging import own_copy
from lambdacat.optics import Iso, Lens, Traversal
from lambdacat.place import Attr, Item, PlanError
from lambdacat.plan import Plan, Task, identity
from lambdacat.structure import nodes
from lambdacat.tools.acting import Acts, ActsLater, Confined, ConfinedLater, Gives, Reading, Takes, act, confined_plan
from lambdacat.tools.arguments import problems_of_names
from lambdacat.tools.declaring import Steps, Tool

INSTANT = Estimate(seconds=(0.0, 0.0), tokens=(0.0, 0.0), money=(0.0, 0.0))


def task_of(
    tool: Tool[Any, Any], arguments: Any, named: Mapping[str, Any], into: Any, *, strict: bool
) -> Plan[Any, Any]:
    """``tool.task(arguments, into=into, **named)``, confined to its grant where ``strict``."""
    said = _said(tool, arguments, named)
    if not (into is None or into == () or isinstance(into, Lens)):
        raise PlanError(f"{tool.name}: into= is a lens, or () to drop the result, not {into!r}")
    lenses = {name: value for name, value in said.items() if isinstance(value, Lens)}
    roots = [*lenses.values(), *([into] if isinstance(into, Lens) else [])]
    if any(one.root != roots[0].root for one in roots):
        raise PlanError(f"{tool.name}: its lenses are of different states: {', '.join(map(repr, roots))}")
    constants = _constants(tool, said, lenses)
    if isinstance(tool.action, Steps):
        return tool.action.build({**constants, **lenses}, into)
    if isinstance(tool.action, Plan):
        return _of_plan(tool, constants, lenses, into, strict)
    if into is None:
        return pure(_reading(tool, constants, lenses)) >> from_arguments(tool, strict=strict)
    return _bounded(tool, _leaf(tool, tuple(lenses), constants, tuple(lenses.values()), into), strict)


def from_arguments(tool: Tool[Any, Any], *, strict: bool) -> Plan[Any, Any]:
    """The plan from a mapping of arguments to the result."""
    if tool.on_state:
        raise PlanError(f"{tool.name} works on a state, so its arguments alone are not enough: make a step with task")
    if isinstance(tool.action, Plan):
        arguments: Plan[Any, Any] = task(name=f"arguments of {tool.name}", blocking="inline", estimate=INSTANT)(
            Takes(tool)
        )
        return _whole(tool, arguments >> tool.action, strict)
    return _bounded(tool, _leaf(tool, None, {}, None, None), strict)


# --- arguments -------------------------------------------------------------------------------------------------------


def _said(tool: Tool[Any, Any], arguments: Any, named: Mapping[str, Any]) -> dict[str, Any]:
    if arguments is None:
        return dict(named)
    if not isinstance(arguments, Mapping) or not all(isinstance(name, str) for name in arguments):
        raise PlanError(f"{tool.name}: arguments are a mapping with names, or written as name=value, not {arguments!r}")
    twice = sorted(arguments.keys() & named.keys())
    if twice:
        raise PlanError(f"{tool.name}: {twice[0]} is given twice")
    return {**arguments, **named}


def _constants(tool: Tool[Any, Any], said: Mapping[str, Any], lenses: Mapping[str, Any]) -> dict[str, Any]:
    """The constants as the tool wants them. Errors: ``PlanError`` with everything that is known to be wrong now."""
    takes = tool.takes
    problems = list(problems_of_names(takes, said))
    for name, value in said.items():
        if isinstance(value, (Plan, Traversal)) and name not in lenses:
            what = "a plan: run it before, into a field" if isinstance(value, Plan) else "an optic with several parts"
            problems.append(f"{name}: an argument is a constant or a lens, and this is {what}")
    constants = {name: own_copy(value) for name, value in said.items() if not isinstance(value, (Plan, Traversal))}
    values, found = takes.checked({name: constants[name] for name in constants if takes.open or name in takes.names})
    problems += found
    if not problems and not lenses:
        problems += takes.whole(values)
    if problems:
        raise PlanError(f"{tool.name}: {'; '.join(problems)}")
    return values


def _reading(tool: Tool[Any, Any], constants: Mapping[str, Any], lenses: Mapping[str, Any], depth: int = 0) -> Reading:
    return Reading(tool.name, depth, tuple(lenses.items()), tuple(sorted(constants.items())))


# --- a function ------------------------------------------------------------------------------------------------------


def _leaf(tool: Tool[Any, Any], names: Any, constants: Mapping[str, Any], reads: Any, into: Any) -> Plan[Any, Any]:
    options: dict[str, Any] = {
        "name": tool.name,
        "resources": tool.resources,
        "idempotent": tool.idempotent,
        "estimate": tool.cost,
        "blocking": tool.blocking,
        "timeout": tool.timeout,
    }
    if reads is not None:
        options |= {"reads": reads, "writes": (into,) if isinstance(into, Lens) else into}
    make: Any = task(**options)
    made: Plan[Any, Any] = make(act(tool, names, constants))
    return made


def _bounded(tool: Tool[Any, Any], plan: Plan[Any, Any], strict: bool) -> Plan[Any, Any]:
    if strict:
        plan = confined_plan(plan, tool.grant)
    return plan if tool.limiter is None else plan.limited(tool.limiter)


# --- a whole plan ----------------------------------------------------------------------------------------------------


def _whole(tool: Tool[Any, Any], plan: Plan[Any, Any], strict: bool) -> Plan[Any, Any]:
    """The tool's plan with its result held against the declaration, under its bounds and its name."""
    if tool.output is not None or tool.gives is not Any:
        check: Plan[Any, Any] = task(name=f"result of {tool.name}", blocking="inline", estimate=INSTANT)(Gives(tool))
        plan = plan >> check
    plan = plan.named(tool.name)
    return _bounded(tool, plan if tool.timeout is None else plan.timeout(tool.timeout), strict)


def _of_plan(
    tool: Tool[Any, Any], constants: Mapping[str, Any], lenses: Mapping[str, Lens[Any, Any]], into: Any, strict: bool
) -> Plan[Any, Any]:
    if not isinstance(into, Lens):
        plan = _whole(tool, tool.action, strict) if tool.on_state else from_arguments(tool, strict=strict)
        whole = plan if tool.on_state else pure(_reading(tool, constants, lenses)) >> plan
        return whole if into is None else gather(identity, whole) >> pure(_first)
    if tool.on_state:
        return _whole(tool, tool.action, strict).between(Lens[Any, Any](into.root, ()), into)
    shared = _shared(list(lenses.values()))
    form = _reading(tool, constants, lenses, len(shared))
    reads = Lens[Any, Any](into.root, shared) >> Iso(form.__name__, to=form, back=_never)
    return from_arguments(tool, strict=strict).between(reads, into)


def _shared(lenses: list[Lens[Any, Any]]) -> tuple[Attr | Item, ...]:
    """The steps that lead to all of the places."""
    shared = list(lenses[0].place) if lenses else []
    for lens in lenses[1:]:
        same = [one == other for one, other in zip(shared, lens.place, strict=False)]
        shared = shared[: [*same, False].index(False)]
    return tuple(shared)


def _never(part: Any) -> Any:
    raise TypeError("arguments are read, and never written back")


def _first(pair: tuple[Any, Any]) -> Any:
    return pair[0]


# --- declaring -------------------------------------------------------------------------------------------------------


def plan_tool(name: str, plan: Any, kind: str, takes: Any, gives: Any, options: dict[str, Any]) -> Tool[Any, Any]:
    """A whole plan as a tool: what its steps touch and need is what it does. Errors: ``PlanError``."""
    if not isinstance(plan, Plan):
        hint = "; declare a function with @tool, and add it with with_" if callable(plan) else ""
        raise PlanError(f"{name}: with_plan wants a plan, not {plan!r}{hint}")
    touched = sorted(footprint(plan).resources, key=lambda one: one.name)
    found = {
        "reads": [one.name for one in touched if not one.writes],
        "writes": [one.name for one in touched if one.writes],
        "capabilities": [one for node in nodes(plan) for one in _needed(node)],
        "description": f"The plan {plan.name}.",
    }
    return Tool(name=name, action=plan, kind=kind, takes_type=takes, gives_type=gives, **(found | options))


def _needed(node: Plan[Any, Any]) -> tuple[Any, ...]:
    action = node.action if isinstance(node, Task) else None
    if isinstance(action, (Confined, ConfinedLater)):
        action = action.action
    return action.tool.capabilities if isinstance(action, (Acts, ActsLater)) else ()

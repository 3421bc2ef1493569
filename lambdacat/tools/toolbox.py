"""Toolboxes: tools by name, as an immutable value, and calls of them as plans."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from functools import cached_property
from types import ModuleType
from typing import Any, TypeVar, Unpack, final, overload

from attrs import frozen

from lambdacat.optics import Lens
from lambdacat.place import PlanError
from lambdacat.plan import Plan
from lambdacat.tools.declaring import Tool, ToolOptions

S = TypeVar("S")
AnyTool = Tool[Any, Any]


class UnknownTool(PlanError, LookupError):
    """A toolbox has no tool of that name."""


@final
@frozen(repr=False, init=False)
class Toolbox:
    """Tools by name. Law: ``|`` is associative and commutative, and ``box | box == box``; the empty one is its unit."""

    _tools: tuple[AnyTool, ...]
    """In the order of their names."""
    is_strict: bool
    """Whether its tasks have what their tools declared, and no more."""

    def __init__(self, *tools: AnyTool) -> None:
        """Errors: ``PlanError`` for two of one name, and for one function under two names."""
        self._filled(tools, False)

    def _filled(self, tools: tuple[AnyTool, ...], is_strict: bool) -> None:
        attrs_init: Callable[..., None] = self.__attrs_init__
        attrs_init(_distinct(tools), is_strict)

    # Looking ---------------------------------------------------------------------------------------------------------

    @cached_property
    def _by_name(self) -> dict[str, AnyTool]:
        return {one.name: one for one in self._tools}

    @property
    def names(self) -> tuple[str, ...]:
        """In alphabetical order."""
        return tuple(self._by_name)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __len__(self) -> int:
        return len(self._tools)

    def __iter__(self) -> Iterator[AnyTool]:
        """The tools, in the order of their names."""
        return iter(self._tools)

    def __getitem__(self, name: str) -> AnyTool:
        """The tool of that name. Errors: ``UnknownTool`` with the names that are close."""
        found = self._by_name.get(name)
        if found is None:
            raise UnknownTool(self._missing(name))
        return found

    def get(self, name: str) -> AnyTool | None:
        """The tool of that name, if there is one."""
        return self._by_name.get(name)

    def _missing(self, name: object) -> str:
        known = list(self._by_name)
        close = get_close_matches(str(name), known, n=1)
        if not close:
            # A category that was forgotten, or mistaken.
            close = [one for one in known if one.rpartition(".")[2] == str(name).rpartition(".")[2]][:1]
        shown = f"{', '.join(known[:10])}{', ...' if len(known) > 10 else ''}"
        hint = f"did you mean {close[0]!r}?" if close else f"there are {shown}" if known else "the toolbox is empty"
        return f"there is no tool {name!r}; {hint}"

    @property
    def categories(self) -> dict[str, tuple[AnyTool, ...]]:
        """The tools by category, both in alphabetical order."""
        found: dict[str, list[AnyTool]] = {}
        for one in self._tools:
            found.setdefault(one.category, []).append(one)
        return {category: tuple(found[category]) for category in sorted(found)}

    def undeclared(self) -> dict[str, tuple[str, ...]]:
        """What nobody declared, of ``idempotent``, ``resources`` and ``cost``, by the names of the tools."""
        return {one.name: one.undeclared for one in self._tools if one.undeclared}

    def listing(self) -> list[dict[str, Any]]:
        """The tools as models are told of them, in the form of OpenAI, with names that ``name_of_model`` turns back.

        Law: equal toolboxes give the same bytes of JSON, in every process.
        """
        return [one.listing() for one in self._tools]

    def __repr__(self) -> str:
        return f"<toolbox{' (strict)' * self.is_strict}: {', '.join(self._by_name) or 'empty'}>"

    # Changing --------------------------------------------------------------------------------------------------------

    def _made(self, tools: tuple[AnyTool, ...], is_strict: bool | None = None) -> Toolbox:
        made = object.__new__(Toolbox)
        made._filled(tools, self.is_strict if is_strict is None else is_strict)
        return made

    def with_(self, *tools: AnyTool) -> Toolbox:
        """The toolbox with more tools. Errors: ``PlanError`` for a name or a function that is there already."""
        return self._made((*self._tools, *tools))

    def replacing(self, tool: AnyTool) -> Toolbox:
        """The toolbox with another tool under a name that it has. Errors: ``UnknownTool``."""
        old = self[tool.name] if isinstance(tool, Tool) else None
        return self._made((*(one for one in self._tools if one is not old), tool))

    def without(self, *names: str) -> Toolbox:
        """The toolbox without these tools. Errors: ``UnknownTool``."""
        gone = {self[name].name for name in names}
        return self._made(tuple(one for one in self._tools if one.name not in gone))

    def __or__(self, other: Toolbox) -> Toolbox:
        """The tools of both; strict when one of them is. Errors: ``PlanError`` when they differ under one name."""
        if not isinstance(other, Toolbox):
            return NotImplemented
        more = tuple(one for one in other._tools if self._by_name.get(one.name) != one)
        return self._made((*self._tools, *more), self.is_strict or other.is_strict)

    def strict(self) -> Toolbox:
        """The toolbox whose tasks have the resources and capabilities that were declared, and no others.

        A use of another that goes through ``grants`` or the context is the fault ``Refused``, and names both.
        """
        return self._made(self._tools, True)

    @classmethod
    def from_module(cls, module: ModuleType) -> Toolbox:
        """The tools among the public names of a module. Errors: ``PlanError`` when there are none."""
        names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
        # One tool may have two names in a module.
        found = {id(one): one for name in names if isinstance(one := getattr(module, name), Tool)}
        if not found:
            raise PlanError(f"{module.__name__} has no tools: decorate its functions with @tool('category.name')")
        return cls(*found.values())

    def with_plan(
        self,
        name: str,
        plan: Plan[Any, Any],
        *,
        kind: str = "plan",
        takes: Any = None,
        gives: Any = Any,
        **options: Unpack[ToolOptions],
    ) -> Toolbox:
        """The toolbox with a whole plan, agent or service as a tool; ``kind`` is your word for which.

        ``takes`` is the class of what the plan is given: the fields of a record are its arguments, another type is one
        argument ``input``; left out, its task is the plan on whatever stands before it. Resources and capabilities are
        those of its steps unless they are given. Errors: ``PlanError``.
        """
        from lambdacat.tools.calling import plan_tool

        return self.with_(plan_tool(name, plan, kind, takes, gives, dict(options)))

    # Calling ---------------------------------------------------------------------------------------------------------

    @overload
    def task(
        self, name: str, arguments: Mapping[str, object] = ..., /, *, into: Lens[S, Any], **named: object
    ) -> Plan[S, S]: ...
    @overload
    def task(
        self, name: str, arguments: Mapping[str, object] = ..., /, *, into: tuple[()] | None = None, **named: object
    ) -> Plan[Any, Any]: ...
    def task(self, name: str, arguments: Any = None, /, *, into: Any = None, **named: Any) -> Plan[Any, Any]:
        """A call of a tool as a plan; see ``Tool.task``, which knows the type of the result.

        Errors: ``UnknownTool``, ``PlanError``.
        """
        from lambdacat.tools.calling import task_of

        return task_of(self[name], arguments, named, into, strict=self.is_strict)

    def from_arguments(self, name: str) -> Plan[Mapping[str, Any], Any]:
        """The plan from a mapping of arguments, such as a model writes, to the result. Errors: ``UnknownTool``."""
        from lambdacat.tools.calling import from_arguments

        return from_arguments(self[name], strict=self.is_strict)


def _distinct(tools: tuple[Any, ...]) -> tuple[AnyTool, ...]:
    """The tools in the order of their names. Errors: ``PlanError``."""
    by_name: dict[str, AnyTool] = {}
    for one in tools:
        if not isinstance(one, Tool):
            hint = "; declare it with @tool('category.name')" if callable(one) else ""
            raise PlanError(f"a toolbox holds tools, not {one!r}{hint}")
        if one.name in by_name:
            raise PlanError(f"there is a tool {one.name!r} already; to put another in its place, use replacing")
        twin = next((other.name for other in by_name.values() if _same(other.action, one.action)), None)
        if twin is not None:
            raise PlanError(f"{one.name!r} and {twin!r} are one function; write a second one, or take one name")
        by_name[one.name] = one
    return tuple(by_name[name] for name in sorted(by_name))


def _same(one: Any, other: Any) -> bool:
    # Methods are made anew each time that they are asked for.
    return one is other or (getattr(one, "__func__", None) is not None and bool(one == other))

"""What an agent remembers, as tools: ``memory.save``, ``memory.recall`` and ``memory.forget``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, final

from attrs import frozen

from lambdacat.bound import Estimate
from lambdacat.codec import Codecs
from lambdacat.optics import Lens
from lambdacat.place import PlanError
from lambdacat.plan import Plan
from lambdacat.state.agent import MEMORY
from lambdacat.state.memory_plans import forget, recall, remember
from lambdacat.tools.declaring import Steps, Tool
from lambdacat.tools.toolbox import Toolbox

_FREE: Final = Estimate(seconds=(0.0, 0.0), tokens=(0.0, 0.0), money=(0.0, 0.0))


def save(key: str, value: Any) -> None:
    """Remember a value under a key, in the place of what was there."""


def recall_(key: str) -> Any:
    """What is remembered under a key."""


def forget_(key: str) -> None:
    """Forget what is remembered under a key, if anything is."""


@final
@frozen
class _Save:
    memory: Lens[Any, Any]
    codecs: Codecs | None

    def __call__(self, arguments: Mapping[str, Any], into: Any) -> Plan[Any, Any]:
        _nothing("memory.save", into)
        return remember(arguments["key"], arguments["value"], memory=self.memory, codecs=self.codecs)


@final
@frozen
class _Recall:
    memory: Lens[Any, Any]

    def __call__(self, arguments: Mapping[str, Any], into: Any) -> Plan[Any, Any]:
        if not isinstance(into, Lens):
            raise PlanError("memory.recall: into= is the lens of where what is remembered goes")
        return recall(arguments["key"], into, memory=self.memory)


@final
@frozen
class _Forget:
    memory: Lens[Any, Any]

    def __call__(self, arguments: Mapping[str, Any], into: Any) -> Plan[Any, Any]:
        _nothing("memory.forget", into)
        return forget(arguments["key"], memory=self.memory)


def _nothing(name: str, into: Any) -> None:
    if isinstance(into, Lens):
        raise PlanError(f"{name}: it changes the memory and gives nothing, so leave out into=")


def memory_tools(memory: Lens[Any, Any] = MEMORY, *, codecs: Codecs | None = None) -> Toolbox:
    """The tools on the memory that a lens reaches: each task is the plan of ``lambdacat.state`` of that name.

    ``codecs`` measure what is saved, as for ``remember``. What they touch is a place of the state, no resource.
    """
    if not isinstance(memory, Lens):
        raise PlanError(f"memory_tools wants the lens of a memory, not {memory!r}")
    rows: tuple[tuple[str, Callable[..., Any], Callable[..., Any]], ...] = (
        ("save", save, _Save(memory, codecs)),
        ("recall", recall_, _Recall(memory)),
        ("forget", forget_, _Forget(memory)),
    )
    return Toolbox(
        *[
            Tool(
                name=f"memory.{name}",
                action=Steps(signature, build),
                kind="memory",
                description=signature.__doc__ or "",
                reads=(),
                writes=(),
                idempotent=True,
                estimate=_FREE,
            )
            for name, signature, build in rows
        ]
    )

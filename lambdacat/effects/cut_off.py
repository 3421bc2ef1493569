"""What is known of a run, or of a branch, that is cut off: how far it had come, and what its clean-up raised."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import anyio

from lambdacat.fault import ActionFailed, Fault, causes, headline, settled
from lambdacat.machine.fork import Retold, Turn
from lambdacat.machine.trail import Trail, frames

Aside = tuple[tuple[int, ...], Fault]
"""A fault that nobody asked for, and which branch of which branch it is from."""


class CleanupFailed(RuntimeWarning):
    """The clean-up of something that was cancelled raised, where no fault can say so.

    It is a branch that had lost a race, or the whole run was cancelled, or the run has a journal, in which it is not.
    """


def cut_at(request: Any, value: Any, stack: Any) -> tuple[object, tuple[Fault, ...]]:
    """The last whole value of a run that is cut off at a request, and the fault that it had just then."""
    if not getattr(request, "won", True):
        return value.last, (settled(value),)
    if isinstance(request, (Turn, Retold)):
        value = request.fork.value
    return Trail(stack, (), value).last(), ()


def in_order(asides: Iterable[Aside]) -> list[Aside]:
    """As the branches are written, whichever ended first."""
    return sorted(asides, key=lambda aside: aside[0])


def clean_ups(faults: Iterable[Fault]) -> Iterator[Fault]:
    """Those that were raised while a cancellation was handled; a branch may also fail by itself just then."""
    cancelled = anyio.get_cancelled_exc_class()
    for fault in faults:
        if any(isinstance(error, cancelled) for cause in causes(fault) for error in _behind(cause)):
            yield fault


def _behind(fault: Fault) -> Iterator[BaseException]:
    todo: list[BaseException | None] = [fault.error if isinstance(fault, ActionFailed) else None]
    seen: set[int] = set()
    while todo:
        error = todo.pop()
        if error is None or id(error) in seen:
            continue
        yield error
        seen.add(id(error))
        todo.append(error.__context__)
        if isinstance(error, BaseExceptionGroup):
            todo.extend(error.exceptions)  # a clean-up of one of its tasks


def warn_broken(faults: Iterable[Fault]) -> Warning | None:
    """Say what clean-ups raised; the first warning itself where warnings are errors."""
    first: Warning | None = None
    for fault in clean_ups(faults):
        try:
            warnings.warn(f"a clean-up failed after a cancellation: {headline(fault)}", CleanupFailed, stacklevel=3)
        except CleanupFailed as error:
            first = first or error
    return first


def is_root(stack: Any) -> bool:
    """Whether a stack is that of a whole run, and not of a branch that runs on its own."""
    return not any(kind.bottom for kind, _, _ in frames(stack))


def noted(error: BaseException, faults: Iterable[Fault]) -> None:
    """Say on a cancellation that passes what the clean-ups raised, and warn."""
    told = tuple(clean_ups(faults))
    for fault in told:
        error.add_note(f"a clean-up failed: {headline(fault)}")
    # Where warnings are errors the note alone says it: nothing may take the place of a cancellation.
    warn_broken(told)

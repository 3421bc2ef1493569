"""What a callable is, looked at once: the function behind it, its name, whether calling it gives a coroutine."""

from __future__ import annotations

from functools import partial
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_ITERABLE_COROUTINE
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from lambdacat.place import PlanError


def name_of(f: Any) -> str:
    """The name of the function that was written, of a callable object that of its class."""
    while isinstance(f, partial):
        f = f.func
    return getattr(f, "__name__", None) or type(f).__name__


def function_of(f: Any) -> Any:
    """The function that a call of ``f`` runs, through partials, bound methods and callable objects."""
    while True:
        if isinstance(f, partial):
            f = f.func
        elif isinstance(f, MethodType):
            f = f.__func__
        elif isinstance(f, (FunctionType, BuiltinFunctionType, type)):
            return f
        else:
            called = getattr(type(f), "__call__", None)  # noqa: B004  not whether it can be called: by what
            if not isinstance(called, (FunctionType, MethodType, partial)):
                return f
            f = called


def code_flags(f: Any) -> int:
    """The code flags of the function behind ``f``; 0 when it is not written in Python."""
    code = getattr(function_of(f), "__code__", None)
    return 0 if code is None else int(code.co_flags)


def is_async(f: Any) -> bool:
    """Whether a call gives a coroutine or an async generator, which somebody would have to await."""
    return bool(code_flags(f) & (CO_COROUTINE | CO_ASYNC_GENERATOR | CO_ITERABLE_COROUTINE))


def check_plain(what: str, f: Any) -> None:
    """Refuse an async function where nothing awaits: its coroutine would always count as true.

    Errors: ``PlanError``.
    """
    if is_async(f):
        said = f"{what} wants a plain function, and {name_of(f)} is async: nothing would await it"
        raise PlanError(f"{said}; await in a task, and look at its result here")

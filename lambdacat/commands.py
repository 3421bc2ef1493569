"""What each command does: from words on a command line to text and an exit code. Heavy rooms load when first used."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from attrs import frozen

if TYPE_CHECKING:
    from lambdacat.fault import Fault
    from lambdacat.plan import Plan
    from lambdacat.testing import LawResult

FAILED = 1
"""Exit code of a fault, of findings and of a broken law."""


class UsageError(Exception):
    """What a user asked for cannot be done; the message is one line."""


@frozen
class Shown:
    """What a command has to say: text for stdout, an aside for stderr, the exit code."""

    text: str
    code: int = 0
    aside: str = ""
    error: BaseException | None = None
    """What ``--debug`` shows in full."""


# --- finding a plan --------------------------------------------------------------------------------------------------


def load(spec: str) -> Plan[Any, Any]:
    """The plan named by ``package.module:plan`` or ``path/to/file.py:plan``. Errors: ``UsageError``."""
    from lambdacat.plan import Plan

    where, colon, name = spec.rpartition(":")
    if not (colon and where and name):
        raise UsageError(f"{spec!r} names no plan; write package.module:plan or path/to/file.py:plan")
    module = _module(where)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            plans = [key for key, value in vars(module).items() if isinstance(value, Plan) and not key.startswith("_")]
            raise UsageError(f"{where} has no {name!r}{close(name, plans) or close(name, vars(module))}")
        found = getattr(found, part)
    if not isinstance(found, Plan):
        hint = "; wrap it in task(...)" if callable(found) else ""
        raise UsageError(f"{spec} is no plan, it is of type {type(found).__name__}{hint}")
    return found


def close(name: str, known: Iterable[str]) -> str:
    """Ask whether the nearest known name was meant; empty when none is near."""
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def _module(where: str) -> Any:
    from importlib import import_module

    path = Path(where)
    is_file = path.suffix == ".py"
    if is_file and not path.is_file():
        raise UsageError(f"no such file: {where}")
    name, folder = (path.stem, str(path.resolve().parent)) if is_file else (where, os.getcwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return _from_file(path) if is_file else import_module(name)
    except ModuleNotFoundError as error:
        if not is_file and error.name and f"{name}.".startswith(f"{error.name}."):
            here = [each.stem for each in Path(folder).glob("*.py")]
            raise UsageError(f"no module named {error.name!r}{close(name, here)}") from error
        raise UsageError(f"importing {where} failed: {error}") from error
    except (Exception, SystemExit) as error:  # noqa: BLE001  a module may raise anything while it is imported
        said = " ".join(str(error).split())
        raise UsageError(f"importing {where} raised {type(error).__name__}{': ' * bool(said)}{said}") from error


def _from_file(path: Path) -> Any:
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"cannot import {path}")
    module = module_from_spec(spec)
    # Classes resolve their annotations through the module that they name.
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


# --- commands --------------------------------------------------------------------------------------------------------


def run(spec: str, given: str | None, *, mode: Literal["async", "sync"]) -> Shown:
    """Run a plan on its input and show the result."""
    from returns.result import Failure, Success

    from lambdacat.documents import shown, value_for

    plan = load(spec)
    value = value_for(plan, _input(given))
    match _outcome(plan, value, mode):
        case Success(result):
            return Shown(shown(result))
        case Failure(fault):
            return _fault(fault)


def _outcome(plan: Plan[Any, Any], value: Any, mode: Literal["async", "sync"]) -> Any:
    if mode == "sync":
        from lambdacat.interpreters.direct import run as run_here

        return run_here(plan, value)
    import asyncio

    from lambdacat.interpreters.arun import arun

    return asyncio.run(arun(plan, value))

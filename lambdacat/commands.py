"""What each command does: from words on a command line to text and an exit code. Heavy rooms load when first used."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

from lambdacat.shown import FAILED, WAITING, Shown, UsageError, as_json, fields_of
from lambdacat.text_forms import FORMS, TextForm

if TYPE_CHECKING:
    from lambdacat.context import Context
    from lambdacat.fault import Fault
    from lambdacat.plan import Plan

# --- finding a plan --------------------------------------------------------------------------------------------------


def load(spec: str) -> Plan[Any, Any]:
    """The plan named by ``package.module:plan`` or ``path/to/file.py:plan``. Errors: ``UsageError``."""
    from lambdacat.plan import Plan

    found = looked_up(spec, "plan", Plan)
    if not isinstance(found, Plan):
        hint = "; wrap it in task(...)" if callable(found) else ""
        raise UsageError(f"{spec} is no plan, it is of type {type(found).__name__}{hint}")
    return found


def looked_up(spec: str, what: str, kind: type) -> Any:
    """What a module has under a name, ``what`` in messages. Errors: ``UsageError`` that knows names of that kind."""
    where, colon, name = spec.rpartition(":")
    if not (colon and where and name):
        raise UsageError(f"{spec!r} names no {what}; write package.module:{what} or path/to/file.py:{what}")
    module = _module(where)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            known = [key for key, value in vars(module).items() if isinstance(value, kind) and not key.startswith("_")]
            raise UsageError(f"{where} has no {name!r}{close(name, known) or close(name, vars(module))}")
        found = getattr(found, part)
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
    except (Exception, SystemExit) as error:
        # A module may raise anything while it is imported.
        said = " ".join(str(error).split())
        line = _line_in(error, path.name if is_file else f"{name.rpartition('.')[2]}.py")
        raise UsageError(f"importing {where} raised {type(error).__name__}{': ' * bool(said)}{said}{line}") from error


def _line_in(error: BaseException, file: str) -> str:
    """Which line of a file an exception came through; empty when it came through none."""
    from traceback import extract_tb

    lines = [each.lineno for each in extract_tb(error.__traceback__) if Path(each.filename).name == file]
    return f" (line {lines[-1]})" if lines else ""


def _from_file(path: Path) -> Any:
    from importlib.util import module_from_spec, spec_from_file_location

    # A file called json.py must not stand in for the module that others import.
    name = path.stem if path.stem not in sys.modules else str(path)
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"cannot import {path}")
    # Classes resolve their annotations through the module that they name.
    module = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- input and output as JSON ----------------------------------------------------------------------------------------


def value_for(plan: Plan[Any, Any], given: str | None) -> Any:
    """The input of a plan from JSON text, ``@file`` or ``-``: of its state class, or as JSON has it.

    Errors: ``UsageError`` when the text is no JSON or does not fit the state class.
    """
    root = _root(plan)
    if given is None and root is None and (step := _wants_input(plan)):
        raise UsageError(f"{step} takes an input, and there is none: give --input, as JSON (null is one)")
    value = {} if given is None and root is not None else _json(given)
    return value if root is None else as_declared(value, root, root.__name__)


def _json(given: str | None) -> Any:
    import json

    if given is None:
        return None
    try:
        if given == "-" and sys.stdin is None:
            raise UsageError("cannot read '-': stdin is closed")
        source = sys.stdin.read() if given == "-" else given
        source = Path(given[1:]).read_text(encoding="utf-8") if given.startswith("@") else source
        return json.loads(source)
    except OSError as error:
        raise UsageError(f"cannot read {given[1:]!r}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--input is no JSON: {error}") from error


def _root(plan: Plan[Any, Any]) -> type | None:
    """The class of records that the input is of, as far as the first lenses tell."""
    from lambdacat.optics import Traversal
    from lambdacat.plan import Sequence, Task

    rest = [plan]
    while rest:
        node = rest.pop()
        data, children = node.parts()
        lenses = [*(data[2] or ()), *(data[3] or ())] if isinstance(node, Task) else data
        roots = [each.root for each in lenses if isinstance(each, Traversal) and isinstance(each.root, type)]
        if roots:
            return roots[0] if fields_of(roots[0]) is not None else None
        # What follows a first step may be of another class.
        rest.extend(children[:1] if isinstance(node, Sequence) else reversed(children))
    return None


def _wants_input(plan: Plan[Any, Any]) -> str:
    """The name of the first node that looks at the input; empty when none is known to."""
    from lambdacat.plan import Bind, Choose, Focus, LoopWhile, Parallel, Pure, Task

    rest = [plan]
    while rest:
        node = rest.pop()
        if isinstance(node, (Bind, Choose, Focus, LoopWhile)):
            return node.name
        if isinstance(node, (Task, Pure)):
            if _looks(node.action if isinstance(node, Task) else node.f):
                return node.name
            continue
        children = node.parts()[1]
        rest.extend(reversed(children) if isinstance(node, Parallel) else children[:1])
    return ""


def _looks(f: Any) -> bool:
    """Whether a function takes a value for sure; one whose parameter starts with ``_`` says that it does not look."""
    from inspect import Parameter, signature

    try:
        first = next(iter(signature(f).parameters.values()), None)
    except (TypeError, ValueError):
        return False
    places = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    if first is None or first.kind not in places or first.default is not Parameter.empty:
        return False
    return not first.name.startswith("_")


def as_declared(value: Any, kind: Any, at: str) -> Any:
    """A JSON value as one of a declared type. Errors: ``UsageError`` that says where they differ."""
    from enum import Enum
    from typing import Annotated, Literal, Union, get_args, get_origin

    origin, parts = get_origin(kind), get_args(kind)
    if (inner := getattr(kind, "__supertype__", None)) is not None:
        return as_declared(value, inner, at)
    if origin is Annotated:
        return as_declared(value, parts[0], at)
    if origin is Literal:
        return _expected(value in parts, value, kind, at)
    if origin is Union or type(kind).__name__ == "UnionType":
        return _either(value, parts, at)
    if hasattr(kind, "model_validate_json"):
        return _model(value, kind, at)
    if (declared := fields_of(kind)) is not None:
        if isinstance(value, list) and issubclass(kind, tuple) and len(value) == len(declared):
            value = dict(zip(declared, value, strict=True))  # as JSON has a named tuple
        return _record(value, kind, declared, at)
    if isinstance(kind, type) and issubclass(kind, Enum):
        is_name = isinstance(value, str) and value in kind.__members__
        return kind[value] if is_name else _made(kind, value, at)
    if isinstance(kind, type) and (form := FORMS.get(kind)) is not None:
        return _read(form, value, kind, at)
    if kind is float:
        return float(_expected(type(value) in (int, float), value, kind, at))
    if kind in (int, str, bool, type(None)):
        return _expected(type(value) is kind, value, kind, at)
    return _collected(value, kind, origin or kind, parts, at)


def _collected(value: Any, kind: Any, origin: Any, parts: tuple[Any, ...], at: str) -> Any:
    """A JSON list or object as the collection that is declared; an unknown type takes the value as it is."""
    from collections import abc

    if not isinstance(origin, type) or origin is object:
        return value
    if issubclass(origin, abc.Mapping):
        _expected(isinstance(value, dict), value, kind, at)
        items = {key: as_declared(each, parts[1], f"{at}[{key!r}]") if parts else each for key, each in value.items()}
        return items if origin in (dict, abc.Mapping, abc.MutableMapping) else _made(origin, items, at)
    if issubclass(origin, (tuple, list, abc.Set, abc.Sequence)) and not issubclass(origin, (str, bytes)):
        _expected(isinstance(value, list), value, kind, at)
        if origin is tuple and parts and parts[-1] is not Ellipsis:
            _expected(len(value) == len(parts), value, kind, at)
            kinds = parts
        else:
            kinds = (parts[0] if parts else Any,) * len(value)
        made = [as_declared(each, one, f"{at}[{i}]") for i, (each, one) in enumerate(zip(value, kinds, strict=True))]
        return origin(made) if origin in (list, set, frozenset) else tuple(made)
    return _as_it_is(value, kind, origin, at)


def _read(form: TextForm, value: Any, kind: type, at: str) -> Any:
    """A value of a class that JSON has only a text or a number for."""
    from lambdacat.fault import shortened

    try:
        if type(value) in form.given:
            return form.read(value)
    except (ValueError, TypeError, ArithmeticError):
        pass
    raise UsageError(f"{at} wants {kind.__name__}, not {shortened(value, 40)}; write it as {form.example}")


def _as_it_is(value: Any, kind: Any, origin: type, at: str) -> Any:
    """A value for a class that decoding knows nothing of. Errors: ``UsageError`` unless it is one already."""
    try:
        fits = isinstance(value, origin)
    except TypeError:
        return value  # a protocol, or another class that values are not asked about
    if not fits:
        said = f"{at} wants {getattr(kind, '__name__', kind)}, which JSON has no form for"
        raise UsageError(f"{said}; run the plan from Python, or give the field a default")
    return value


def _record(value: Any, kind: Any, declared: Mapping[str, tuple[str, bool]], at: str) -> Any:
    from lambdacat.record import field_type

    _expected(isinstance(value, dict), value, kind, at)
    if unknown := [key for key in value if key not in declared]:
        hint = close(unknown[0], declared) or f"; it has {', '.join(declared)}"
        raise UsageError(f"{at} has no field {unknown[0]!r}{hint}")
    if missing := [key for key, (_, required) in declared.items() if required and key not in value]:
        raise UsageError(f"{at} needs {missing[0]!r}: give --input with it, as JSON")
    made = {}
    for key, each in value.items():
        annotation = field_type(kind, declared[key][0])
        made[key] = each if annotation is None else as_declared(each, annotation, f"{at}.{key}")
    return _made(lambda given: kind(**given), made, at)


def _model(value: Any, kind: Any, at: str) -> Any:
    """A JSON value as a pydantic model, which knows its own aliases, extra fields and validators."""
    import json

    from pydantic import ValidationError

    try:
        return kind.model_validate_json(json.dumps(value))
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f".{step}" if isinstance(step, str) else f"[{step}]" for step in first["loc"])
        raise UsageError(f"{at}{where}: {' '.join(first['msg'].split())}") from error


def _either(value: Any, kinds: tuple[Any, ...], at: str) -> Any:
    refusals = []
    for kind in kinds:
        try:
            return as_declared(value, kind, at)
        except UsageError as error:
            refusals.append(error)
    for refusal in refusals:
        if not str(refusal).startswith(f"{at} wants "):
            raise refusal  # it took the value for this kind, and found something wrong inside
    wanted = " or ".join("None" if kind is type(None) else getattr(kind, "__name__", str(kind)) for kind in kinds)
    return _expected(False, value, wanted, at)


def _expected(fits: bool, value: Any, kind: Any, at: str) -> Any:
    if not fits:
        from lambdacat.fault import shortened

        wanted = kind.__name__ if isinstance(kind, type) and not hasattr(kind, "__args__") else str(kind)
        raise UsageError(f"{at} wants {wanted}, not {shortened(value, 40)}")
    return value


def _made(make: Callable[[Any], Any], given: Any, at: str) -> Any:
    try:
        return make(given)
    except Exception as error:
        # A validator of the user's may raise anything.
        raise UsageError(f"{at}: {' '.join(str(error).split()) or repr(error)}") from error


# --- commands --------------------------------------------------------------------------------------------------------


def context_named(spec: str | None) -> Context:
    """The context of a run from ``module:name``: one, a mapping of names, or what a function gives.

    Errors: ``UsageError``.
    """
    from lambdacat.callables import is_async
    from lambdacat.context import Context, context_of

    if spec is None:
        return Context()
    found = looked_up(spec, "context", Context)
    if is_async(found):
        raise UsageError(f"{spec} is async; a function that gives a context is a plain one")
    try:
        return context_of(found() if callable(found) else found)
    except TypeError as error:
        raise UsageError(f"{spec} is no context: {error}") from error
    except Exception as error:
        # A function of the user's may raise anything.
        raise UsageError(f"{spec} raised {type(error).__name__}: {' '.join(str(error).split())}") from error


def run(spec: str, given: str | None, mode: Literal["async", "sync"], context: str | None = None) -> Shown:
    """The result of a plan; a fault is exit code 1, a question exit code 3."""
    from returns.result import Failure, Success

    from lambdacat.fault import Waiting

    plan = load(spec)
    match _outcome(plan, value_for(plan, given), mode, context_named(context)):
        case Success(made):
            return Shown(as_json(made))
        case Failure(Waiting() as waiting):
            hint = "to answer it and go on, keep the run: --journal FILE --run-id NAME"
            return Shown("", WAITING, f"{waiting}\n{hint}")
        case Failure(fault):
            return faulted(fault)
        case other:
            raise AssertionError(f"{other!r} is no outcome")


def faulted(fault: Fault) -> Shown:
    """The message of a fault, and the exception behind it if a function of the user's raised one."""
    from lambdacat.fault import ActionFailed

    return Shown("", FAILED, str(fault), fault.error if isinstance(fault, ActionFailed) else None)


def _outcome(plan: Plan[Any, Any], value: Any, mode: Literal["async", "sync"], context: Context) -> Any:
    from lambdacat.stopping import stopped_here, until_stopped

    if mode == "sync":
        from lambdacat.interpreters.run import run as run_here

        with stopped_here():
            return run_here(plan, value, context=context)
    from lambdacat.interpreters.arun import arun

    return until_stopped(lambda: arun(plan, value, context=context))


def forecast(spec: str, given: str | None) -> Shown:
    """What a run may do and cost."""
    from lambdacat.interpreters.dry_run import dry_run

    plan = load(spec)
    return Shown(str(dry_run(plan) if given is None else dry_run(plan, value_for(plan, given))))


def show(spec: str, form: Literal["text", "mermaid", "dot"]) -> Shown:
    """A drawing of a plan."""
    from lambdacat.drawing import render

    return Shown(render(load(spec), form))


def check(spec: str) -> Shown:
    """What is doubtful in a plan; findings are exit code 1."""
    from lambdacat.interpreters.check import check as findings_of

    findings = findings_of(load(spec))
    if not findings:
        return Shown("no findings")
    rows = [f"{each.rule}: {each.message} (at {' > '.join(map(str, each.at)) or 'the top'})" for each in findings]
    return Shown("\n".join(rows), FAILED)


def laws(names: tuple[str, ...], form: Literal["text", "json"], examples: int, watched: TextIO | None = None) -> Shown:
    """Every law under every interpreter; a broken one is exit code 1. ``watched`` is a terminal that shows how far."""
    from tempfile import gettempdir

    # Left alone, Hypothesis would make a folder of its own in the current one.
    os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(Path(gettempdir(), "lambdacat-hypothesis")))
    try:
        from lambdacat.testing import SUITES, run_suites
    except ModuleNotFoundError as error:
        raise UsageError(f"the laws need {error.name}: pip install {error.name}") from error
    from lambdacat.law_table import matrix
    from lambdacat.terminal import one_line

    known = [str(getattr(each, "name", each)) for each in SUITES]
    for name in names:
        if name not in known:
            raise UsageError(f"no suite {name!r}{close(name, known) or '; there are ' + ', '.join(known)}")
    with one_line(watched) as tell:
        results = run_suites(names or None, examples=examples, tell=tell)
    text = as_json({"passed": all(r.passed for r in results), "laws": results}) if form == "json" else matrix(results)
    return Shown(text, 0 if all(r.passed for r in results) else FAILED)

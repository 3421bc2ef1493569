"""Imports point down only, and every room stands in a layer."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import lambdacat

ROOT = Path(lambdacat.__file__).parent

LAYERS: tuple[tuple[str, ...], ...] = (
    ("lazily", "place", "record", "redaction", "telling", "text_forms"),
    ("callables",),
    ("condition", "steps", "merging", "declared", "policy"),
    ("codec", "optics"),
    ("path", "fault", "schedule"),
    ("bound", "context", "event", "secret"),
    ("plan", "structure", "wiring"),
    ("asking", "expanding"),
    ("leaf", "signatures", "build", "footprints"),
    ("rewrite", "regrow", "machine"),
    ("effects", "state"),
    ("interpreters",),
    ("drawing", "guard", "store"),
    ("tools",),
    ("shown", "arguments", "terminal", "stopping", "law_table"),
    ("research_citing",),
    ("research", "testing"),
    ("research_model", "research_cost", "research_memory"),
    ("research_text",),
    ("research_report",),
    ("commands",),
    ("runs_cli",),
    ("research_command",),
    ("cli", "__main__", "__init__"),
)
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}


UPWARD: dict[tuple[str, str], str] = {
    ("plan", "build"): "methods of a plan are its constructors, and those make plans",
    ("plan", "leaf"): "what a plan is joined with may be a bare function, which becomes a task",
    ("plan", "expanding"): "a node of a user's own is expanded and compared where it is one",
    ("plan", "guard"): "methods of a plan are its constructors, and what keeps results stands on stores' codecs",
    ("plan", "drawing"): "a notebook asks a plan for its picture",
    ("event", "drawing"): "a notebook asks a trace for its picture",
    ("law_table", "testing"): "the type of a row; the rows are given",
}
"""The imports that point up, each inside a function or for types only, and why it must be there."""

LOOPS: dict[str, tuple[str, str]] = {
    "effects/concurrent.py": ("anyio", "waits, scopes and threads that both loops have"),
    "effects/branches.py": ("asyncio", "branches as tasks of asyncio"),
    "effects/cancelling.py": ("anyio asyncio", "how tasks of asyncio are cancelled"),
    "effects/cut_off.py": ("anyio", "asks which exception is a cancellation"),
    "effects/on_asyncio.py": ("anyio asyncio", "deadlines, threads and whole runs on asyncio"),
    "effects/on_trio.py": ("anyio trio", "branches as tasks of trio"),
    "guard/rate.py": ("anyio", "waits for the next turn"),
    "interpreters/arun.py": ("anyio asyncio", "asks which loop is running, for its clock and its permits"),
    "interpreters/durable.py": ("anyio", "entries are written by a thread, which a cancelled run still waits for"),
    "interpreters/runs.py": ("anyio", "a journal is read by a thread"),
    "interpreters/stream.py": ("anyio asyncio trio", "the run that is read is a task beside its reader"),
    "machine/environment.py": ("anyio", "the limiter of a run's threads, made when the first one is wanted"),
    "research_report.py": ("asyncio", "a command begins a loop"),
    "stopping.py": ("asyncio", "a command begins a loop and ends it at a signal"),
    "tools/llm_listening.py": ("anyio", "an answer is waited for, and hung up on"),
    "tools/llm_model.py": ("anyio", "many are asked side by side, and a thread waits for one"),
    "tools/llm_openai.py": ("anyio", "connections belong to an event loop"),
    "tools/http.py": ("anyio", "deadlines; stores are asked in a thread; a loop for callers that have none"),
    "tools/web_wire.py": ("anyio", "connections, and names that are looked up in a thread"),
    "testing/delays.py": ("anyio", "an action that sleeps"),
    "testing/disturbing.py": ("anyio", "delays and hangs"),
    "testing/loop.py": ("asyncio trio", "loops on virtual time"),
    "testing/suites.py": ("trio", "laws are tried on both loops"),
    "tools/sandbox.py": ("anyio", "a thread waits for the code, and is told when its task is cancelled"),
}
"""The files that name an event loop, what they name, and for what."""


def _room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py").removesuffix(".pyi")


FILES = sorted(ROOT.rglob("*.py"))


@cache
def _nodes(path: Path) -> tuple[ast.AST, ...]:
    """Every node of a file."""
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def _imported(path: Path, node: ast.AST) -> list[str]:
    """The modules that a statement imports, by their full names."""
    match node:
        case ast.Import():
            return [alias.name for alias in node.names]
        case ast.ImportFrom(module=module, level=level):
            home = path.relative_to(ROOT.parent).with_suffix("").parts[:-level] if level else ()
            whole = ".".join((*home, *filter(None, [module])))
            return [f"lambdacat.{alias.name}" for alias in node.names] if whole == "lambdacat" else [whole]
        case _:
            return []


def _rooms(path: Path, node: ast.AST) -> set[str]:
    """The rooms of the package that a statement imports; a public name is the door of the package."""
    found = [name.split(".") for name in _imported(path, node)]
    rooms = {(*parts, "__init__")[1] for parts in found if parts[0] == "lambdacat"}
    return {room if room in RANK else "__init__" for room in rooms}


def _late(path: Path) -> set[ast.AST]:
    """What does not run when the module is loaded: the insides of functions, and what is there for types alone."""
    found: set[ast.AST] = set()
    for node in _nodes(path):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                found.update(ast.walk(node))
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), body=body):
                found.update(inside for statement in body for inside in ast.walk(statement))
            case _:
                pass
    return found


def test_every_room_stands_in_a_layer() -> None:
    assert {_room(path) for path in FILES} <= set(RANK)


def test_the_page_shows_every_room_once_and_from_the_top_down() -> None:
    page = (ROOT.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.partition("| layer | rooms |\n| --- | --- |\n")[2].partition("\n\n")[0]
    shown = [re.findall(r"`(\w+)`", row.split("|")[2]) for row in table.splitlines()]
    assert sorted(room for row in shown for room in row) == sorted(RANK)
    lowest = [min(RANK[room] for room in row) for row in shown]
    assert all(RANK[room] <= above for above, row in zip(lowest, shown[1:], strict=False) for room in row)


def test_imports_point_down() -> None:
    """Those inside functions too, but for the few that have a reason; those never run when a module is loaded."""
    upward: dict[tuple[str, str], list[str]] = {}
    eager = []
    for path in FILES:
        here, found = _room(path), [(node, room) for node in _nodes(path) for room in _rooms(path, node)]
        found = [(node, room) for node, room in found if RANK[room] > RANK[here]]
        late = _late(path) if found else set()
        for node, room in found:
            line = f"{path.relative_to(ROOT)}:{node.lineno} imports {room}"  # type: ignore[attr-defined]
            upward.setdefault((here, room), []).append(line)
            eager += [line] if node not in late else []
    assert eager == []
    assert {pair: lines for pair, lines in upward.items() if pair not in UPWARD} == {}
    assert set(UPWARD) - set(upward) == set(), "listed, and no longer there"


def test_only_the_listed_files_name_an_event_loop() -> None:
    known = {"asyncio", "trio", "anyio"}
    found = {}
    for path in FILES:
        names = {name.split(".")[0] for node in _nodes(path) for name in _imported(path, node)} & known
        if names:
            found[path.relative_to(ROOT).as_posix()] = " ".join(sorted(names))
    assert found == {file: names for file, (names, _) in LOOPS.items()}


def test_nothing_is_loaded_before_it_is_used() -> None:
    code = (
        "import sys, lambdacat\n"
        "late = {'anyio', 'asyncio', 'sqlite3', 'rich', 'trio', 'hypothesis', 'pytest', 'aiolimiter', 'rpds'}\n"
        "print(sorted(late & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_can_be_imported() -> None:
    missing = [name for name in lambdacat.__all__ if not hasattr(lambdacat, name)]
    assert missing == []


WRITTEN_OUT = ["steps.py eval", "steps.py compile"]
"""The copy of a record: a call with the names of its class's fields, as that class's own constructor was made of."""


def test_data_is_never_turned_into_code() -> None:
    banned, loaders = {"eval", "exec", "compile"}, {"pickle", "marshal", "yaml", "shelve"}
    found = []
    for path in FILES:
        for node in _nodes(path):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in banned:
                found.append(f"{path.relative_to(ROOT)} {node.func.id}")
            found += [f"{path.relative_to(ROOT)} {name}" for name in _imported(path, node) if name in loaders]
    assert found == WRITTEN_OUT

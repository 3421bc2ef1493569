"""Imports point down only, and every room stands in a layer."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import lambdacat

ROOT = Path(lambdacat.__file__).parent

LAYERS: tuple[tuple[str, ...], ...] = (
    ("place", "record", "telling", "text_forms"),
    ("callables",),
    ("condition", "steps", "merging", "declared", "policy"),
    ("codec", "optics"),
    ("path", "fault", "schedule"),
    ("bound", "context", "event"),
    ("plan", "structure", "wiring"),
    ("asking", "expanding"),
    ("leaf", "signatures", "build", "footprints"),
    ("rewrite", "regrow", "machine"),
    ("effects", "state"),
    ("interpreters",),
    ("drawing", "store"),
    ("tools",),
    ("shown", "arguments", "terminal", "stopping", "law_table"),
    ("research", "research_report", "testing"),
    ("commands",),
    ("runs_cli",),
    ("cli", "__main__", "__init__"),
)
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}


def _room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py").removesuffix(".pyi")


def _eager(tree: ast.Module) -> list[ast.ImportFrom]:
    """Imports that run when a module is loaded: those inside functions and under TYPE_CHECKING do not."""
    found: list[ast.ImportFrom] = []
    rest: list[ast.AST] = [tree]
    while rest:
        node = rest.pop()
        if isinstance(node, ast.ImportFrom):
            found.append(node)
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            rest.extend(node.orelse)
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            rest.extend(ast.iter_child_nodes(node))
    return found


FILES = sorted(ROOT.rglob("*.py"))


def test_every_room_stands_in_a_layer() -> None:
    assert {_room(path) for path in FILES} <= set(RANK)


def test_imports_point_down() -> None:
    upward = []
    for path in FILES:
        for node in _eager(ast.parse(path.read_text())):
            module = node.module or ""
            if module.startswith("lambdacat.") and RANK[module.split(".")[1]] > RANK[_room(path)]:
                upward.append(f"{path.relative_to(ROOT)} imports {module}")
    assert upward == []


def test_the_kernel_knows_no_event_loop() -> None:
    """Only one room names asyncio, trio or anyio where modules are loaded."""
    loops = {"asyncio", "trio", "anyio"}
    found = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            if loops & {name.split(".")[0] for name in names}:
                found.add(_room(path))
    assert found <= {"effects", "interpreters", "machine", "testing", "research_report", "stopping", "commands", "cli"}


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


def test_data_is_never_turned_into_code() -> None:
    banned = {"eval", "exec", "compile"}
    found = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in banned:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.func.id}")
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                module = getattr(node, "module", None) or ",".join(alias.name for alias in node.names)
                if module in {"pickle", "marshal", "yaml", "shelve"}:
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno} {module}")
    assert found == []

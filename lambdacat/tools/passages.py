"""Passages that can be quoted: from Python's language topics, from docstrings, from files of notes."""

import ast
import importlib
import importlib.util
import inspect
import os
import re
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

from attrs import evolve, frozen

from lambdacat.tools.vocabulary import is_code

PASSAGE = 1000
"""Characters after which a passage ends at the next blank line."""

Checkpoint = Callable[[], object]
"""Called between files while they are read; what it raises ends the reading."""


@frozen
class Passage:
    """A stretch of text that can be quoted, with the place it comes from.

    ``locator`` is ``topic:comparisons``, ``doc:itertools.groupby`` or ``file:notes/a.md:12`` (line 12).
    ``names`` are what else it is known by: keywords, operators, the parts of a compound name.
    Units: ``score`` is the relevance its own index gave; higher is better, comparable within one search only.
    """

    title: str
    locator: str
    text: str
    score: float = 0.0
    names: tuple[str, ...] = ()


_UNDERLINE = re.compile(r"([=*~^\"'#+-])\1{2,}\s*$")
_SIGNATURE = re.compile(r"((?:\w+\.)*\w+)\(.*\)$")
_HASHES = re.compile(r"#{1,6}\s+(.+?)\s*#*$")
_DEFINITION = re.compile(r"\s*(?:async\s+)?(?:def|class)\s+(\w+)")
_NOTHING = re.compile(r"(?!)")

MARKS = {".md": _HASHES, ".markdown": _HASHES, ".py": _DEFINITION, ".rst": _NOTHING, ".txt": _NOTHING}
"""The heading line of each kind of file that can be read; underlined headings are known in all of them."""


def _headings(lines: Sequence[str], mark: re.Pattern[str]) -> Iterator[tuple[int, int, str]]:
    """Yield ``(index, index of the first line of its text, heading)``."""
    fenced = False
    for at, line in enumerate(lines):
        if line.startswith("```"):
            # A comment in a fenced block of shell or Python looks like a heading.
            fenced = not fenced
        below = lines[at + 1] if at + 1 < len(lines) else ""
        if fenced or not line.strip():
            continue
        if _UNDERLINE.match(below) and line[0].isalnum() | (line[0] in "\"'_`") and len(line) < 100:
            yield at, at + 2, line.strip()
        elif found := mark.match(line):
            yield at, at + (mark is _HASHES), found.group(1)


def _stretches(lines: Sequence[str], first: int, last: int) -> Iterator[tuple[int, str]]:
    """Yield ``(line number, text)`` between two headings, cut at blank lines or when there are none for long."""
    start, size = first, 0
    for at in range(first, last):
        size += len(lines[at])
        if at + 1 < last and size < (PASSAGE if not lines[at].strip() else 4 * PASSAGE):
            continue
        while start < at and not lines[start].strip():
            start += 1
        text = "\n".join(lines[start : at + 1]).rstrip()
        # A minified file can be one line of a megabyte.
        for cut in range(0, len(text), 8 * PASSAGE):
            yield start + 1, text[cut : cut + 8 * PASSAGE]
        start, size = at + 1, 0


def split(text: str, mark: re.Pattern[str]) -> Iterator[tuple[str, int, str]]:
    """Yield ``(heading, line number, text)``; the heading is empty above the first one.

    >>> list(split("# Tea\\n\\nSteep for three minutes.\\n", MARKS[".md"]))
    [('Tea', 3, 'Steep for three minutes.')]
    """
    lines = text.splitlines()
    starts = [(0, 0, ""), *_headings(lines, mark)]
    ends = [*(at for at, _, _ in starts[1:]), len(lines)]
    for (_, first, heading), last in zip(starts, ends, strict=True):
        for number, stretch in _stretches(lines, first, last):
            yield heading, number, stretch


def _aliases() -> dict[str, set[str]]:
    """The keywords, operators and help names under which ``help()`` shows each topic."""
    # Importing pydoc takes a while and is needed only when an index is built.
    from pydoc import Helper

    tables: dict[str, object] = {**Helper.topics, **Helper.symbols, **Helper.keywords}

    def shown(name: str) -> set[str]:
        match tables.get(name, name):
            case (str(topic), _):
                return {topic}
            case str(others) if others != name:
                return {topic for other in others.split() for topic in shown(other)}
            case _:
                return {name}

    names: dict[str, set[str]] = {}
    for name in tables:
        for topic in shown(name):
            names.setdefault(topic, set()).add(name.lower())
    return names


def topics() -> Iterator[Passage]:
    """Yield the language reference, each stretch once: in its shortest topic, which is the most specific one."""
    from pydoc_data.topics import topics as texts

    names = _aliases()
    kept: dict[str, Passage] = {}
    # "if" and "else" are the same text; the one that its heading names comes first.
    for key in sorted(texts, key=lambda key: (len(texts[key]), f'"{key}"' not in texts[key][:40], key)):
        top = ""
        for at, (heading, _, text) in enumerate(split(texts[key], _SIGNATURE)):
            top = top or heading
            title = (top if heading in ("", top) else f"{top}: {heading}").replace('"', "")
            # The names belong to the introduction: a match in them must not bring up every stretch.
            known = {key, *key.split("-"), *names.get(key, ())} if at == 0 else set()
            same = kept.setdefault(" ".join(text.split()), Passage(title, f"topic:{key}", text))
            kept[" ".join(text.split())] = evolve(same, names=tuple(sorted(known.union(same.names))))
    yield from kept.values()


_OUTSIDE = frozenset({
    "__phello__", "__pycache__", "config", "distutils", "encodings", "ensurepip", "idlelib", "lib-dynload", "lib2to3",
    "msilib", "ntpath.py", "nturl2path.py", "pydoc_data", "site-packages", "test", "tests", "tix.py", "turtledemo",
})  # fmt: skip
_RENAMED = {"posixpath": "os.path", "genericpath": "os.path"}
_COMPILED = (
    "array", "binascii", "builtins", "cmath", "errno", "gc", "itertools", "math", "mmap", "select", "sys", "time",
    "unicodedata", "zlib",
)  # fmt: skip


def stdlib_folder() -> Path:
    """The folder of the standard library's source."""
    return Path(sysconfig.get_paths()["stdlib"])


def _condensed(signature: str, docstring: str) -> str:
    """A docstring's first paragraphs after what it documents."""
    kept: list[str] = []
    size = 0
    for paragraph in inspect.cleandoc(docstring).strip().split("\n\n"):
        if kept and size + len(paragraph) > PASSAGE:
            break
        kept.append(paragraph[: 2 * PASSAGE])
        size += len(paragraph)
    return f"{signature}: " + "\n\n".join(kept)


def _documented(name: str, arguments: str, docstring: str) -> Passage:
    # "OrderedDict" and "assertRaises" are asked for as two words.
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+", name.rpartition(".")[2])
    return Passage(
        title=name.removeprefix("builtins."),
        locator=f"doc:{name}",
        text=_condensed(name.removeprefix("builtins.") + arguments, docstring),
        names=tuple(part for part in parts if not is_code(part.lower())) if len(parts) > 1 else (),
    )


def _arguments(node: ast.AST) -> str:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            text = re.sub(r"^(self|cls)(, |$)", "", ast.unparse(node.args))
            return f"({text if len(text) < 120 else text[:120] + '...'})"
        case ast.ClassDef():
            makers = (part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__")
            return next(map(_arguments, makers), "")
        case _:
            return ""


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a module, those under its ``if`` and ``try`` too: many definitions have a fallback."""
    for node in body:
        match node:
            case ast.If():
                yield from _statements([*node.body, *node.orelse])
            case ast.Try():
                yield from _statements([*node.body, *(part for each in node.handlers for part in each.body)])
            case _:
                yield node


def _definitions(owner: str, body: Iterable[ast.stmt]) -> Iterator[Passage]:
    """Yield the public functions, classes and methods that have docstrings."""
    for node in _statements(body):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        makers = [part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"]
        told = (ast.get_docstring(part, clean=False) for part in (node, *makers))
        if docstring := next(filter(None, told), None):
            yield _documented(f"{owner}.{node.name}", _arguments(node), docstring)
        if isinstance(node, ast.ClassDef):
            yield from _definitions(f"{owner}.{node.name}", node.body)


def _listed(tree: ast.Module) -> frozenset[str] | None:
    """The names in ``__all__``, as far as they are written out; None without one."""
    names: set[str] | None = None
    for node in _statements(tree.body):
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List(elts=parts) | ast.Tuple(elts=parts)):
                found = {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}
                names = (names or set()) | found
            case _:
                continue
    return None if names is None else frozenset(names)


def _taken(package: str, tree: ast.Module) -> dict[str, frozenset[str]]:
    """What a package's ``__init__`` takes from each of its modules; ``*`` for everything public."""
    taken: dict[str, frozenset[str]] = {}
    for node in _statements(tree.body):
        if isinstance(node, ast.ImportFrom) and (node.level == 1 or (node.module or "").startswith(f"{package}.")):
            module = (node.module or "").removeprefix(f"{package}.")
            taken[module] = taken.get(module, frozenset()) | {alias.name for alias in node.names}
    return taken


def _compiled(name: str) -> ModuleType | None:
    """The module when it has no Python source, so that only importing it shows its docstrings; else None."""
    try:
        spec = importlib.util.find_spec(name)
        if spec is None or (spec.origin or "").endswith(".py"):
            return None
        return importlib.import_module(name)
    except (ImportError, ValueError):
        return None


def _live(owner: str, names: Iterable[str], module: ModuleType | type) -> Iterator[Passage]:
    """Yield the docstrings of compiled functions and classes, with the methods of those classes."""
    for name in names:
        thing = vars(module).get(name)
        docstring = getattr(thing, "__doc__", None)
        if name.startswith("_") or not callable(thing) or not isinstance(docstring, str) or not docstring.strip():
            continue
        arguments = re.sub(r"\$\w+(, )?(/, |/(?=\)))?", "", getattr(thing, "__text_signature__", None) or "")
        yield _documented(f"{owner}.{name}", arguments, docstring)
        # A name can be bound to a class that belongs elsewhere, as ``__class__`` is.
        if isinstance(thing, type) and not issubclass(thing, BaseException):
            yield from _live(f"{owner}.{name}", sorted(vars(thing)), thing)


def _borrowed(owner: str, tree: ast.Module, listed: frozenset[str] | None) -> Iterator[Passage]:
    """Yield the docstrings that a module owes to its compiled half, as ``collections.deque`` is."""
    for node in _statements(tree.body):
        if not isinstance(node, ast.ImportFrom) or node.level or not node.module:
            continue
        # A star import of a public module is for the module's own use.
        starred = node.names[0].name == "*" and (node.module == os.name or node.module.startswith("_"))
        names = [alias.name for alias in node.names if alias.name in (listed or ())]
        if (starred or names) and (module := _compiled(node.module)) is not None:
            yield from _live(owner, sorted(vars(module)) if starred else names, module)


def _sources(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield ``(dotted name, path)`` of the library's modules, each package before its modules."""
    for path, folders, files in os.walk(folder):
        inside = Path(path).relative_to(folder).parts
        folders[:] = sorted(set(folders) - _OUTSIDE) if not inside or "__init__.py" in files else []
        if inside and "__init__.py" not in files:
            continue
        for name in sorted(set(files) - _OUTSIDE, key=lambda name: (name != "__init__.py", name)):
            if name.endswith(".py"):
                module = () if name == "__init__.py" else (name.removesuffix(".py"),)
                yield ".".join((*inside, *module)), Path(path, name)


def docstrings(folder: Path, checkpoint: Checkpoint = bool) -> Iterator[Passage]:
    """Yield the standard library's public docstrings, each under the name that users import.

    Modules written in Python are parsed, not imported. Compiled ones have no source to parse and are imported.
    """
    seen: set[str] = set()
    for passage in _documented_anywhere(folder, checkpoint):
        if passage.locator not in seen:
            seen.add(passage.locator)
            yield passage


def _documented_anywhere(folder: Path, checkpoint: Checkpoint) -> Iterator[Passage]:
    """Yield docstrings, some of them twice: a definition and then its compiled twin."""
    taken: dict[str, dict[str, frozenset[str]]] = {}
    for name, path in _sources(folder):
        checkpoint()
        package, _, last = name.rpartition(".")
        outward = taken.get(package, {}).get(last, frozenset())
        if last.startswith("_") and not outward:
            continue
        try:
            tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError):
            # One damaged file of the library must not cost the rest.
            continue
        if path.name == "__init__.py":
            taken[name] = _taken(name, tree)
        yield from _module(_RENAMED.get(name, name), tree, outward)
    # Every interpreter has loaded this one; parts of it get their docstrings only then.
    yield from _live("os.path", sorted(vars(os.path)), os.path)
    for name in _COMPILED:
        if module := _compiled(name):
            yield from _live(name, sorted(vars(module)), module)


def _renamed(passage: Passage, name: str) -> Passage:
    text = name + passage.text.removeprefix(passage.title)
    return evolve(passage, title=name, locator=f"doc:{name}", text=text)


def _module(name: str, tree: ast.Module, outward: frozenset[str]) -> Iterator[Passage]:
    """Yield the docstrings of one module, under its package's name where the package takes them."""
    package, _, last = name.rpartition(".")
    listed = _listed(tree)
    methods: dict[str, Passage] = {}
    if (docstring := ast.get_docstring(tree, clean=False)) and not last.startswith("_"):
        yield _documented(name, "", docstring)
    for node in _statements(tree.body):
        own = getattr(node, "name", "")
        taken = own in outward or ("*" in outward and own in (listed or {own}))
        if taken or not last.startswith("_"):
            for passage in _definitions(package if taken else name, [node]):
                methods[passage.title.rpartition(".")[2]] = passage
                yield passage
        match node:
            case ast.Assign(targets=[ast.Name(id="__doc__")], value=ast.Constant(value=str(docstring))):
                yield _documented(name, "", docstring)
            case ast.Assign(targets=[ast.Name(id=own)], value=ast.Attribute(attr=method)) if method in methods:
                # "choice = _inst.choice" makes a function of a method.
                yield _renamed(methods[method], f"{name}.{own}")
    yield from _borrowed(name, tree, listed)


def notes(text: str, path: str) -> Iterator[Passage]:
    """Yield the passages of one file, titled with the heading or definition above each."""
    suffix = Path(path).suffix.lower()
    for heading, line, stretch in split(text, MARKS[suffix]):
        parts = tuple(re.findall(r"\w+", path.removesuffix(suffix)))
        yield Passage(heading or path, f"file:{path}:{line}", stretch, names=parts)

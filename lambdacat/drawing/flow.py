"""The control flow of a plan as a graph: one value, which every graphical form prints.

Boxes, vertices and the ends of boxes stand in one row, in the order of the plan; edges stand apart. Each node's
picture is a generator that yields a child to have it drawn, so that depth never recurses.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from textwrap import wrap
from typing import Any, Literal, NamedTuple, TypeAlias, final

from attrs import field, frozen

from lambdacat.asking import Ask, SleepUntil
from lambdacat.drawing.words import (
    Node,
    bound_text,
    fault_text,
    focus_text,
    function_text,
    join_text,
    line,
    loop_text,
    plain,
    policy_text,
    role,
    task_details,
)
from lambdacat.plan import (
    Attempt,
    Bind,
    Choose,
    Composite,
    Focus,
    LoopWhile,
    Parallel,
    Pure,
    Recover,
    Sequence,
    Task,
    Within,
    _Fail,
    _Identity,
)

Shape: TypeAlias = Literal["terminal", "task", "pure", "computed", "fork", "join", "question", "stop"]
Kind: TypeAlias = Literal["flow", "back", "fault"]


@final
@frozen
class Vertex:
    """Something that happens; ``lines`` are its words."""

    id: str
    shape: Shape
    lines: tuple[str, ...]


@final
@frozen
class Opened:
    """The begin of a box around what follows, up to its ``Closed``."""

    id: str
    label: str


@final
@frozen
class Closed:
    """The end of the innermost box."""


Item: TypeAlias = Vertex | Opened | Closed


@final
@frozen
class Edge:
    """From a vertex or a whole box to a vertex."""

    source: str
    target: str
    label: str
    kind: Kind
    into: str = ""
    """The outermost box that it enters, where it ends, so that it does not run through the box's title."""


@final
@frozen
class Flow:
    """A drawn plan. Law: an edge joins ids that stand in ``row``."""

    row: tuple[Vertex | Opened | Closed, ...]
    edges: tuple[Edge, ...]


Loose: TypeAlias = tuple[str, str, Kind]
"""An edge that has no target yet: its source, label and kind."""
Drawing: TypeAlias = Generator[tuple[Node, list[Loose]], list[Loose], list[Loose]]
"""The picture of one node: yields a child with the edges that lead into it, and gets the edges that lead out."""


@frozen
class _Canvas:
    row: list[Vertex | Opened | Closed] = field(factory=list)
    edges: list[Edge] = field(factory=list)

    def vertex(self, shape: Shape, lines: tuple[str, ...], entering: list[Loose]) -> str:
        """A new vertex with the loose edges tied to it."""
        made = Vertex(f"n{len(self.row)}", shape, _wrapped(lines))
        self.row.append(made)
        self.tie(entering, made.id)
        return made.id

    def tie(self, entering: list[Loose], target: str) -> None:
        """Give loose edges their target."""
        self.edges.extend(Edge(source, target, label, kind) for source, label, kind in entering)

    def opened(self, label: str) -> str:
        """A box begun."""
        made = Opened(f"b{len(self.row)}", label)
        self.row.append(made)
        return made.id

    def closed(self, leaving: list[Loose], box: str) -> list[Loose]:
        """A box ended; one without a vertex gets one, so that there is something to lead through."""
        if type(self.row[-1]) is Opened and self.row[-1].id == box:
            leaving = [(self.vertex("pure", ("identity",), leaving), "", "flow")]
        self.row.append(Closed())
        return leaving


_WIDEST = 48
_MOST_LINES = 6


def _wrapped(lines: tuple[str, ...]) -> tuple[str, ...]:
    """The words of a vertex in lines that do not make it wider than a page."""
    return tuple(part for line in lines for part in wrap(line, _WIDEST, max_lines=_MOST_LINES) or (line,))


def _joined(some: list[Loose], others: list[Loose]) -> list[Loose]:
    """Both, in the longer of the two lists: copying at every level would make depth quadratic."""
    longer, shorter = (some, others) if len(some) >= len(others) else (others, some)
    longer.extend(shorter)
    return longer


def _said(entering: list[Loose], label: str) -> list[Loose]:
    """The same edges with a label, where they have none."""
    return [(source, old or label, kind) for source, old, kind in entering]


# --- one picture for each node ---------------------------------------------------------------------------------------


def _leaf(shape: Shape, lines: Callable[[Any], tuple[str, ...]]) -> Callable[[Any, _Canvas, list[Loose]], Drawing]:
    def drawn(node: Node, canvas: _Canvas, entering: list[Loose]) -> Drawing:
        yield from ()
        return [(canvas.vertex(shape, lines(node), entering), "", "flow")]

    return drawn


def _boxed(label: Callable[[Any], str]) -> Callable[[Any, _Canvas, list[Loose]], Drawing]:
    def drawn(node: Node, canvas: _Canvas, entering: list[Loose]) -> Drawing:
        box = canvas.opened(label(node))
        leaving = yield node.parts()[1][0], entering
        return canvas.closed(leaving, box)

    return drawn


def _identity(node: _Identity, canvas: _Canvas, entering: list[Loose]) -> Drawing:
    yield from ()
    return entering


def _stop(node: _Fail, canvas: _Canvas, entering: list[Loose]) -> Drawing:
    yield from ()
    canvas.vertex("stop", (fault_text(node),), entering)
    return []


def _sequence(node: Sequence[Any, Any], canvas: _Canvas, entering: list[Loose]) -> Drawing:
    for step in node.steps:
        entering = yield step, entering
    return entering


def _parallel(node: Parallel[Any, Any], canvas: _Canvas, entering: list[Loose]) -> Drawing:
    fork = canvas.vertex("fork", (policy_text(node),), entering)
    leaving: list[Loose] = []
    for branch in node.branches:
        out = yield branch, [(fork, "", "flow")]
        leaving = _joined(leaving, out)
    return [(canvas.vertex("join", (join_text(node),), leaving), "", "flow")]


def _choose(node: Choose[Any, Any], canvas: _Canvas, entering: list[Loose]) -> Drawing:
    asked = canvas.vertex("question", (function_text(node.selector),), entering)
    leaving: list[Loose] = []
    for i, plan in enumerate(node.plans):
        out = yield plan, [(asked, role(node, i), "flow")]
        leaving = _joined(leaving, out)
    if not node.binary and not node.has_default:
        canvas.vertex("stop", ("NoBranch",), [(asked, "any other", "fault")])
    return leaving


def _loop(node: LoopWhile[Any, Any], canvas: _Canvas, entering: list[Loose]) -> Drawing:
    asked = canvas.vertex("question", (loop_text(node),), entering)
    turned = yield node.plan, [(asked, "yes", "flow")]
    canvas.tie([(source, label or "again", "back") for source, label, _ in turned], asked)
    leaving: list[Loose] = [(asked, "no", "flow")]
    if node.at_most is None:
        return leaving
    spent = f"still yes after {node.at_most}"
    if node.then is None:
        canvas.vertex("stop", ("LoopLimit",), [(asked, spent, "fault")])
        return leaving
    out = yield node.then, [(asked, spent, "flow")]
    return _joined(leaving, out)


def _recover(node: Recover[Any, Any], canvas: _Canvas, entering: list[Loose]) -> Drawing:
    box = canvas.opened("try")
    leaving = canvas.closed((yield node.plan, entering), box)
    faulted: list[Loose] = [(box, "on a fault", "fault")]
    if node.other is not None:
        return _joined(leaving, (yield node.other, faulted))
    return _joined(leaving, [(canvas.vertex("computed", (plain(node.name),), faulted), "", "flow")])


def _attempt(node: Attempt[Any, Any], canvas: _Canvas, entering: list[Loose]) -> Drawing:
    box = canvas.opened("attempt")
    leaving = canvas.closed((yield node.plan, entering), box)
    return _joined(leaving, [(box, "fault as the result", "fault")])


def _other(node: Node, canvas: _Canvas, entering: list[Loose]) -> Drawing:
    """A node that drawings know nothing of: its words, and its children as ways to go on."""
    head = canvas.vertex("task", (line(node),), entering)
    leaving: list[Loose] = []
    for i, child in enumerate(node.parts()[1]):
        leaving = _joined(leaving, (yield child, [(head, role(node, i), "flow")]))
    return leaving or [(head, "", "flow")]


def _waiting_words(node: Node) -> tuple[str, ...]:
    into = getattr(node, "into", None)
    return (plain(node.name),) if into is None else (plain(node.name), plain(f"writes {into!r}"))


_PICTURES: dict[type[Node], Callable[[Any, _Canvas, list[Loose]], Drawing]] = {
    Task: _leaf("task", lambda node: (plain(node.name), *task_details(node))),
    Pure: _leaf("pure", lambda node: (plain(node.name),)),
    Bind: _leaf("computed", lambda node: (plain(node.name),)),
    Ask: _leaf("computed", _waiting_words),
    SleepUntil: _leaf("computed", _waiting_words),
    _Identity: _identity,
    _Fail: _stop,
    Sequence: _sequence,
    Parallel: _parallel,
    Choose: _choose,
    LoopWhile: _loop,
    Recover: _recover,
    Attempt: _attempt,
    Focus: _boxed(focus_text),
    Within: _boxed(lambda node: bound_text(node.bound)),
    Composite: _boxed(lambda node: plain(node.name)),
}


def _picture(node: Node, canvas: _Canvas, entering: list[Loose]) -> Drawing:
    known = _PICTURES.get(type(node)) or (_PICTURES[Composite] if isinstance(node, Composite) else _other)
    return known(node, canvas, entering)


def flow(plan: Node) -> Flow:
    """The graph of a plan, from its start to its end."""
    canvas = _Canvas()
    start = canvas.vertex("terminal", ("start",), [])
    drawings = [_picture(plan, canvas, [(start, "", "flow")])]
    leaving: list[Loose] | None = None
    while drawings:
        try:
            # Sending None begins a drawing; afterwards it gets what its child led to.
            child, entering = drawings[-1].send(leaving)  # type: ignore[arg-type]
        except StopIteration as done:
            drawings.pop()
            leaving = done.value
        else:
            drawings.append(_picture(child, canvas, entering))
            leaving = None
    if leaving:
        canvas.vertex("terminal", ("end",), leaving)
    row, merged = _boxes_merged(canvas.row)
    return Flow(row, _tidied(row, canvas.edges, merged))


# --- tidying ---------------------------------------------------------------------------------------------------------

_TITLES = 4
"""How many titles one box may have."""


def _boxes_merged(row: list[Item]) -> tuple[tuple[Item, ...], dict[str, str]]:
    """The row with boxes that hold nothing but a box drawn as one, and which box each of those has become."""
    ends = _ends(row)
    merged: dict[str, str] = {}
    titles: dict[str, list[str]] = {}
    gone: set[int] = set()
    for place, item in enumerate(row):
        if not isinstance(item, Opened):
            continue
        around = row[place - 1] if place else None
        home = ""
        if isinstance(around, Opened) and ends[place - 1] == ends[place] + 1:
            home = merged.get(around.id, around.id)
        if home and len(titles[home]) < _TITLES:
            titles[home].append(item.label)
            merged[item.id] = home
            gone |= {place, ends[place]}
        else:
            titles[item.id] = [item.label]
    kept = (
        Opened(item.id, " > ".join(titles[item.id])) if isinstance(item, Opened) else item
        for place, item in enumerate(row)
        if place not in gone
    )
    return tuple(kept), merged


def _ends(row: list[Item]) -> dict[int, int]:
    """Where each box that begins in a row ends."""
    found: dict[int, int] = {}
    opened: list[int] = []
    for place, item in enumerate(row):
        if isinstance(item, Opened):
            opened.append(place)
        elif isinstance(item, Closed):
            found[opened.pop()] = place
    return found


def _tidied(row: tuple[Item, ...], edges: list[Edge], merged: dict[str, str]) -> tuple[Edge, ...]:
    """The edges between what is left: those that join the same two ends as one, each with the box that it enters."""
    spots = _spots(row)
    labels: dict[tuple[str, str, Kind], list[str]] = {}
    for edge in edges:
        ends = merged.get(edge.source, edge.source), edge.target, edge.kind
        labels.setdefault(ends, []).append(edge.label)
    return tuple(
        Edge(source, target, " or ".join(dict.fromkeys(filter(None, said))), kind, _entered(spots, source, target))
        for (source, target, kind), said in labels.items()
    )


class Spot(NamedTuple):
    """Where a vertex or a box stands: the box around it, and the places in the row where it begins and ends."""

    box: str
    begin: int
    end: int


def _spots(row: tuple[Item, ...]) -> dict[str, Spot]:
    found: dict[str, Spot] = {}
    opened = [""]
    for place, item in enumerate(row):
        if type(item) is Closed:
            box = opened.pop()
            found[box] = found[box]._replace(end=place)
        elif not isinstance(item, Closed):
            found[item.id] = Spot(opened[-1], place, place)
            if type(item) is Opened:
                opened.append(item.id)
    return found


def _entered(spots: dict[str, Spot], source: str, target: str) -> str:
    """The outermost box around ``target`` that is not around ``source`` as well."""
    begin, found = spots[source].begin, ""
    box = spots[target].box
    while box and not spots[box].begin < begin < spots[box].end:
        found, box = box, spots[box].box
    return found

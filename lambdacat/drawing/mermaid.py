"""A flow as a Mermaid flowchart."""

from __future__ import annotations

from lambdacat.drawing.flow import Closed, Flow, Kind, Opened, Shape, Vertex

_DEEPEST = 12
_PLAIN = frozenset(" abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789,=+/!?'")
_SHAPES: dict[Shape, tuple[str, str]] = {
    "terminal": ('(["', '"])'),
    "task": ('["', '"]'),
    "pure": ('("', '")'),
    "computed": ('[["', '"]]'),
    "fork": ('[/"', '"\\]'),
    "join": ('[\\"', '"/]'),
    "question": ('{"', '"}'),
    "stop": ('{{"', '"}}'),
}
_ARROWS: dict[Kind, str] = {"flow": "-->", "back": "-->", "fault": "-.->"}


def escaped(text: str) -> str:
    """``text`` as it may stand in a label: Mermaid's own codes for all but letters and a few harmless signs."""
    return "".join(c if c in _PLAIN or (c.isalnum() and not c.isascii()) else f"#{ord(c)};" for c in text)


def flowchart(drawn: Flow) -> str:
    """The graph in Mermaid's language."""
    lines = ["flowchart TD"]
    depth = 1
    for item in drawn.row:
        if type(item) is Closed:
            depth -= 1
        indent = "  " * min(depth, _DEEPEST)
        match item:
            case Vertex(id=id_, shape=shape, lines=words):
                opening, closing = _SHAPES[shape]
                lines.append(f"{indent}{id_}{opening}{'<br/>'.join(map(escaped, words))}{closing}")
            case Opened(id=id_, label=label):
                lines.append(f'{indent}subgraph {id_}["{escaped(label)}"]')
                depth += 1
            case Closed():
                lines.append(f"{indent}end")
    around = _around_one(drawn)
    for edge in drawn.edges:
        # Mermaid ties an arrow that ends at a box to any vertex in it, which only is the right one where there is one.
        target = edge.into if edge.into in around else edge.target
        label = f'|"{escaped(edge.label)}"|' if edge.label else ""
        lines.append(f"  {edge.source} {_ARROWS[edge.kind]}{label} {target}")
    lines.extend(_colours(drawn))
    return "\n".join(lines) + "\n"


def _around_one(drawn: Flow) -> set[str]:
    """The boxes with one vertex in them."""
    counts: dict[str, int] = {}
    opened: list[tuple[str, int]] = []
    vertices = 0
    for item in drawn.row:
        match item:
            case Vertex():
                vertices += 1
            case Opened(id=id_):
                opened.append((id_, vertices))
            case Closed():
                id_, before = opened.pop()
                counts[id_] = vertices - before
    return {id_ for id_, count in counts.items() if count == 1}


_COLOURS: dict[Shape, str] = {
    "terminal": "fill:#e8eaed,stroke:#5f6368,color:#202124",
    "task": "fill:#e8f0fe,stroke:#1a73e8,color:#202124",
    "pure": "fill:#ffffff,stroke:#1a73e8,color:#202124",
    "computed": "fill:#f3e8fd,stroke:#8430ce,color:#202124",
    "fork": "fill:#e6f4ea,stroke:#188038,color:#202124",
    "join": "fill:#e6f4ea,stroke:#188038,color:#202124",
    "question": "fill:#fef7e0,stroke:#f29900,color:#202124",
    "stop": "fill:#fce8e6,stroke:#d93025,color:#202124",
}


def _colours(drawn: Flow) -> list[str]:
    """A colour for each shape that is there."""
    by_shape: dict[Shape, list[str]] = {}
    for item in drawn.row:
        if type(item) is Vertex:
            by_shape.setdefault(item.shape, []).append(item.id)
    lines = []
    for shape, ids in by_shape.items():
        lines.append(f"  classDef {shape} {_COLOURS[shape]}")
        lines.append(f"  class {','.join(ids)} {shape}")
    return lines

"""A flow as a Graphviz graph."""

from __future__ import annotations

from lambdacat.drawing.flow import Closed, Flow, Kind, Opened, Shape, Vertex

_DEEPEST = 12
_SHAPES: dict[Shape, str] = {
    "terminal": 'shape=oval, fillcolor="#e8eaed"',
    "task": 'shape=box, fillcolor="#e8f0fe"',
    "pure": 'shape=box, style="rounded,filled", fillcolor="#ffffff"',
    "computed": 'shape=box, peripheries=2, fillcolor="#f3e8fd"',
    "fork": 'shape=trapezium, fillcolor="#e6f4ea"',
    "join": 'shape=invtrapezium, fillcolor="#e6f4ea"',
    "question": 'shape=diamond, fillcolor="#fef7e0"',
    "stop": 'shape=octagon, fillcolor="#fce8e6"',
}
_STYLES: dict[Kind, str] = {"flow": "", "back": "", "fault": 'style=dashed, color="#d93025"'}


def escaped(text: str) -> str:
    """``text`` inside a quoted label. Graphviz reads backslashes, and entities such as ``&lt;``, as its own."""
    return text.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')


def graph(drawn: Flow) -> str:
    """The graph in Graphviz's language."""
    lines = [
        "digraph plan {",
        "  compound=true;",
        '  fontname="Helvetica";',
        '  node [style=filled, fontname="Helvetica"];',
    ]
    lines.append('  edge [fontname="Helvetica", fontsize=11];')
    # An edge of Graphviz joins vertices: one that leaves a box starts at a vertex inside and is cut at the border.
    inside: dict[str, str] = {}
    waiting: list[str] = []
    depth = 1
    for item in drawn.row:
        if type(item) is Closed:
            depth -= 1
        indent = "  " * min(depth, _DEEPEST)
        match item:
            case Vertex(id=id_, shape=shape, lines=words):
                inside.update(dict.fromkeys(waiting, id_))
                waiting.clear()
                label = "\\n".join(map(escaped, words))
                lines.append(f'{indent}{id_} [label="{label}", {_SHAPES[shape]}];')
            case Opened(id=id_, label=label):
                waiting.append(id_)
                lines.append(
                    f'{indent}subgraph cluster_{id_} {{ label="{escaped(label)}"; style=rounded; color="#9aa0a6";'
                )
                depth += 1
            case Closed():
                lines.append(f"{indent}}}")
    for edge in drawn.edges:
        said = [f'label="{escaped(edge.label)}"'] if edge.label else []
        if edge.source in inside:
            said.append(f"ltail=cluster_{edge.source}")
        if edge.into:
            said.append(f"lhead=cluster_{edge.into}")
        if _STYLES[edge.kind]:
            said.append(_STYLES[edge.kind])
        options = f" [{', '.join(said)}]" if said else ""
        lines.append(f"  {inside.get(edge.source, edge.source)} -> {edge.target}{options};")
    lines.append("}")
    return "\n".join(lines) + "\n"

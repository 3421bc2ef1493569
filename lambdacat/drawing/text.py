"""A plan as an indented tree."""

from __future__ import annotations

from lambdacat.drawing.words import Node, line, role

DEEPEST = 40
"""Levels that are drawn by indenting; a deeper line says its level instead, or a deep tree would be quadratic."""


def tree(plan: Node) -> str:
    """Every node on a line of its own, children below their parent."""
    lines: list[str] = []
    # A node, its level, what stands before its name, and what stands before its children.
    rest: list[tuple[Node, int, str, str, str]] = [(plan, 0, "", "", "")]
    while rest:
        node, level, before, margin, word = rest.pop()
        lines.append(f"{before}{word}{line(node)}")
        children = node.parts()[1]
        for i in reversed(range(len(children))):
            last = i == len(children) - 1
            said = role(node, i)
            said = f"{said}: " if said else ""
            if level < DEEPEST:
                branch, below = ("└─ ", "   ") if last else ("├─ ", "│  ")
                rest.append((children[i], level + 1, margin + branch, margin + below, said))
            else:
                rest.append((children[i], level + 1, f"{margin}(level {level + 1}) ", margin, said))
    return "\n".join(lines) + "\n"

"""Pictures of plans and of what happened, made from the value alone: a picture cannot say what the plan does not.

Law: equal plans give equal text, in every process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from lambdacat.drawing.timeline import bars, gantt, is_trace
from lambdacat.plan import Plan

if TYPE_CHECKING:
    from lambdacat.drawing.timeline import TraceLike

Form: TypeAlias = Literal["text", "mermaid", "dot"]


def render(plan: Plan[Any, Any] | TraceLike, form: Form = "text") -> str:
    """The plan as an indented tree, a Mermaid flowchart or a Graphviz graph. Law: equal plans give equal text.

    A trace is drawn over time: with bars as text, or as a Mermaid Gantt chart. Errors: ``ValueError`` for another form.
    """
    if form not in ("text", "mermaid", "dot"):
        raise ValueError(f"form is 'text', 'mermaid' or 'dot', not {form!r}")
    if isinstance(plan, Plan):
        return _plan(plan, form)
    if not is_trace(plan):
        raise TypeError(f"render takes a plan or a trace, not {plan!r}")
    if form == "dot":
        raise ValueError("a trace is drawn over time, as 'text' or 'mermaid'; 'dot' has no time axis")
    return bars(plan) if form == "text" else gantt(plan)


def _plan(plan: Plan[Any, Any], form: Form) -> str:
    if form == "text":
        from lambdacat.drawing.text import tree

        return tree(plan)
    from lambdacat.drawing.flow import flow

    if form == "mermaid":
        from lambdacat.drawing.mermaid import flowchart

        return flowchart(flow(plan))
    from lambdacat.drawing.dot import graph

    return graph(flow(plan))


def render_trace(trace: TraceLike) -> str:
    """A Mermaid Gantt chart of a trace: who overlapped with whom."""
    return gantt(trace)


__all__ = ["Form", "render", "render_trace"]

"""Pictures: strict grammar, every node, any name, any depth, the same in every process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from importlib import import_module
from pkgutil import walk_packages
from types import ModuleType
from typing import Any, get_args

import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

import lambdacat
from lambdacat import (
    FIRST_COMPLETED,
    SETTLED,
    Budget,
    Exponential,
    NBest,
    Plan,
    Quorum,
    Stopped,
    TimedOut,
    Total,
    approve,
    ask,
    bind,
    bound,
    choose,
    collect,
    each,
    fail,
    focus,
    gather,
    identity,
    lens,
    loop_while,
    parallel,
    policy,
    pure,
    render,
    sleep_until,
    task,
    traced,
    when,
)
from lambdacat.drawing import Form, render_trace
from lambdacat.guard import Breaker, Rate
from lambdacat.plan import Composite, Parallel, Within
from lambdacat.structure import nodes
from lambdacat.testing import Sample, plans, states


def step(name: str) -> Plan[Any, Any]:
    return task(name=name)(keep)


def keep(value: Any) -> Any:
    return value


def rescue(fault: Any) -> Plan[Any, Any]:
    return identity


@frozen(eq=False, repr=False)
class Twice(Composite[Any, Any]):
    """A node of a user's own."""

    plan: Plan[Any, Any]

    def expand(self) -> Plan[Any, Any]:
        return self.plan >> self.plan


a, b, c = step("a"), step("b"), step("c")
FIRST = lens(tuple, lambda row: row[0])
EVERY: dict[str, Plan[Any, Any]] = {
    "task": task(reads=FIRST, writes=FIRST, name="t", timeout=2)(keep),
    "pure": pure(keep),
    "identity": identity,
    "fail": fail(Stopped(reason="no")),
    "bind": bind(rescue),
    "sequence": a >> b,
    "parallel": a & b,
    "gather": gather(a, identity, limit=1),
    "race": parallel(a, b, policy=FIRST_COMPLETED, timeout=3),
    "best": parallel(a, b, policy=NBest(1, by=FIRST)),
    "settled": parallel(a, b, policy=SETTLED, join=collect),
    "choose": choose(keep, {"a": a, frozenset({"x", "y", "z"}): b}),
    "default": choose(keep, {1: a}, default=identity),
    "when": when(keep, a),
    "loop": loop_while(keep, a),
    "loop with limit": loop_while(keep, a, at_most=2),
    "loop with then": loop_while(keep, a, at_most=2, then=b),
    "or": a | b,
    "recover": a.recover(rescue),
    "attempt": a.attempt(),
    "focus": focus(FIRST >> each, a, limit=2),
    "between": identity.between(FIRST, FIRST),
    "timeout": a.timeout(1),
    "retry": a.retry(Exponential(first=0.5).times(6), on=TimedOut),
    "named": (a >> b).named("both"),
    "composite": Twice(a),
    "limited": a.limited(Rate(2)),
    "guarded": a.guarded(Breaker(2)),
    "budget": a.within(Budget(tokens=5, seconds=2)),
    "ask": ask("How many?", into=FIRST),
    "approve": approve("Send it?"),
    "approve with words of its own": approve(lambda row: f"Send {row}?"),
    "sleep_until": sleep_until(datetime(2030, 1, 2, tzinfo=UTC)),
    "sleep_until of a value": sleep_until(keep),
    "quorum": parallel(a, b, a, policy=Quorum(2), join=collect),
}


def kinds(module: ModuleType) -> set[type]:
    """The classes that a module defines."""
    return {one for one in vars(module).values() if isinstance(one, type) and one.__module__ == module.__name__}


def node_kinds() -> set[type]:
    """Every class of nodes that lambdacat has, wherever it is defined."""
    for found in walk_packages(lambdacat.__path__, "lambdacat."):
        if not found.name.endswith("__main__"):
            import_module(found.name)
    rest, classes = list[Any]([Plan]), set[type]()
    while rest:
        below = rest.pop().__subclasses__()
        rest.extend(below)
        classes.update(one for one in below if one.__module__.startswith("lambdacat."))
    return {one for one in classes if not one.__module__.startswith("lambdacat.testing")}


def test_every_kind_of_node_bound_and_policy_is_drawn_here() -> None:
    """A53: a new one is missing until it stands in the table above."""
    drawn = {type(node) for plan in EVERY.values() for node in nodes(plan)}
    assert {one for one in node_kinds() if not any(issubclass(kind, one) for kind in drawn)} == set()
    bounds = {type(node.bound) for plan in EVERY.values() for node in nodes(plan) if isinstance(node, Within)}
    values = {bound.Estimate, bound.Resource, bound.Limits, bound.Left}
    assert {one for one in kinds(bound) - bounds if not getattr(one, "_is_protocol", False)} == values
    policies = {type(node.policy) for plan in EVERY.values() for node in nodes(plan) if isinstance(node, Parallel)}
    assert kinds(policy) - policies == {policy.Verdict, policy.Race}


# A strict part of what Mermaid reads: the parser of Mermaid 11.17 accepts all of the table above, and its traces.
LABEL = r"(?:[^\W_]|[ ,=+/!?'_]|#\d+;|<br/>)*"
MERMAID = {
    "vertex": re.compile(
        rf' +(n\d+)(?:\(\[|\[\[|\[/|\[\\|\{{\{{|\[|\(|\{{)"{LABEL}"(?:\]\)|\]\]|\\\]|/\]|\}}\}}|\]|\)|\}})'
    ),
    "open": re.compile(rf' +subgraph (b\d+)\["{LABEL}"\]'),
    "close": re.compile(r" +end"),
    "edge": re.compile(rf' +([nb]\d+) (?:-->|-\.->)(?:\|"{LABEL}"\|)? ([nb]\d+)'),
    "colour": re.compile(r"  (?:classDef \w+ [\w:#,]+|class n\d+(?:,n\d+)* \w+)"),
}
TEXT = r'(?:[^"\\\n]|\\.)*'
DOT = {
    "vertex": re.compile(rf' +(n\d+) \[label="{TEXT}", shape=\w+.*\];'),
    "open": re.compile(rf' +subgraph cluster_(b\d+) \{{ label="{TEXT}"; .*;'),
    "close": re.compile(r" +\}"),
    "edge": re.compile(
        rf' +(n\d+) -> (n\d+)(?: \[(?:label="{TEXT}"|l(?:head|tail)=cluster_b\d+|, |style=dashed|color="#\w+")+\])?;'
    ),
    "head": re.compile(r"  (?:compound=true;|fontname=.*;|(?:node|edge) \[.*\];)"),
}


def well_formed(lines: list[str], grammar: dict[str, re.Pattern[str]]) -> None:
    known: set[str] = set()
    depth = 0
    for line in lines:
        kind, found = next(((kind, m) for kind, rule in grammar.items() if (m := rule.fullmatch(line))), ("", None))
        assert found is not None, line
        depth += (kind == "open") - (kind == "close")
        assert depth >= 0
        if kind in ("vertex", "open"):
            assert found[1] not in known
            known.add(found[1])
        if kind == "edge":
            assert {found[1], found[2]} <= known
    assert depth == 0


def mermaid_holds(plan: Plan[Any, Any]) -> None:
    head, *lines = render(plan, "mermaid").removesuffix("\n").split("\n")
    assert head == "flowchart TD"
    well_formed(lines, MERMAID)


def dot_holds(plan: Plan[Any, Any]) -> None:
    head, *lines, last = render(plan, "dot").removesuffix("\n").split("\n")
    assert (head, last) == ("digraph plan {", "}")
    well_formed(lines, DOT)


@pytest.mark.parametrize("plan", EVERY.values(), ids=EVERY)
def test_every_node_draws_in_every_form(plan: Plan[Any, Any]) -> None:
    mermaid_holds(plan)
    dot_holds(plan)
    assert render(plan).endswith("\n")


@given(st.text(min_size=1).filter(str.strip))
def test_no_name_breaks_a_picture(name: str) -> None:
    plan = (step(name) >> a).named(name).timeout(1) >> choose(keep, {name: a}) >> fail(Stopped(reason=name))
    mermaid_holds(plan)
    dot_holds(plan)
    assert len(render(plan).splitlines()) == 9
    assert all(form.encode() for form in (render(plan), render(plan, "mermaid"), render(plan, "dot")))


def test_names_are_spelt_in_codes_of_the_form() -> None:
    assert '["say #34;hi#34; #38; #60;b#62;"]' in render(step('say "hi" & <b>'), "mermaid")
    assert r'label="say \"hi\" \\N &amp;lt;"' in render(step(r'say "hi" \N &lt;'), "dot")


def test_the_tree_says_what_stands_where() -> None:
    plan = (a.retry(2) & b) >> loop_while(keep, c, at_most=3, then=identity)
    assert render(plan).splitlines() == [
        "sequence of 2",
        "├─ parallel: all 2, joined by merge",
        "│  ├─ retry 2 times",
        "│  │  └─ a",
        "│  └─ b",
        "└─ loop_while keep, at most 3",
        "   ├─ each turn: c",
        "   └─ after 3: identity",
    ]


def edges(plan: Plan[Any, Any]) -> list[str]:
    drawn = render(plan, "mermaid")
    words = dict(re.findall(r'^ +(?:subgraph )?([nb]\d+)[^\w-]*?"(.*?)"', drawn, re.MULTILINE))
    lines = re.findall(r" +([nb]\d+) (?:-->|-\.->)(?:\|\"(.*?)\"\|)? ([nb]\d+)", drawn)
    return [f"{words[source]} -{said}> {words[target]}" for source, said, target in lines]


def test_the_flowchart_follows_the_control_flow() -> None:
    assert edges(when(keep, a) >> b) == ["start -> keep", "keep -yes> a", "a -> b", "keep -no> b", "b -> end"]
    assert edges(loop_while(keep, a)) == ["start -> keep", "keep -yes> a", "a -again> keep", "keep -no> end"]
    assert edges(a & b) == ["start -> all 2", "all 2 -> a", "all 2 -> b", "a -> merge", "b -> merge", "merge -> end"]
    assert edges(a | b) == ["start -> try", "try -on a fault> b", "a -> end", "b -> end"]


def test_two_ways_between_the_same_ends_are_one_arrow_with_both_labels() -> None:
    assert edges(loop_while(keep, a, at_most=3, then=identity))[-1] == "keep, at most 3 -no or still yes after 3> end"
    assert edges(when(keep, identity, identity) >> a) == ["start -> keep", "keep -yes or no> a", "a -> end"]


def test_an_arrow_ends_at_the_box_that_it_enters_and_not_in_its_title() -> None:
    plan = (a >> b).timeout(2) >> c.retry(1)
    heads = re.findall(r"(n\d+) -> (n\d+)(?: \[.*lhead=cluster_(b\d+).*\])?;", render(plan, "dot"))
    labels = dict(re.findall(r'cluster_(b\d+) \{ label="(.*?)"', render(plan, "dot")))
    words = dict(re.findall(r'(n\d+) \[label="(.*?)"', render(plan, "dot")))
    entered = [(words[source], words[target], labels.get(box, "")) for source, target, box in heads]
    assert entered == [("start", "a", "timeout 2 s"), ("a", "b", ""), ("b", "c", "retry once"), ("c", "end", "")]
    assert edges(plan) == ["start -> a", "a -> b", "b -> retry once", "c -> end"]


def test_boxes_that_hold_a_box_alone_are_one_box_with_both_titles() -> None:
    titles = re.findall(r'subgraph b\d+\["(.*?)"\]', render(a.retry(2).timeout(3) | b, "mermaid"))
    assert titles == ["try #62; timeout 3 s #62; retry 2 times"]
    titles = re.findall(r'subgraph b\d+\["(.*?)"\]', render((a.timeout(3) >> b).retry(2), "mermaid"))
    assert titles == ["retry 2 times", "timeout 3 s"]


@given(st.text("abc ", min_size=100, max_size=300).filter(str.strip))
def test_no_name_makes_a_picture_wider_than_a_page(name: str) -> None:
    forms: tuple[tuple[Form, str], ...] = (("mermaid", "<br/>"), ("dot", r"\n"))
    for form, between in forms:
        lines = max(render(step(name.strip()), form).splitlines(), key=len).split(between)
        assert 1 < len(lines) <= 6
        assert all(len(line) < 48 + 40 for line in lines)


def test_equal_plans_give_equal_text() -> None:
    for form in ("text", "mermaid", "dot"):
        assert render((a >> b) >> c, form) == render(a >> (b >> c), form)


def drawn() -> str:
    """Every picture, as one text."""
    return repr([render(plan, form) for plan in EVERY.values() for form in get_args(Form)])


def test_the_text_is_the_same_in_every_process() -> None:
    # This process has a hash seed of its own, and the other one the least likely.
    environment = {**os.environ, "PYTHONHASHSEED": "4294967295", "PYTHONPATH": os.path.dirname(__file__)}
    command = [sys.executable, "-c", "import test_drawing; print(ascii(test_drawing.drawn()))"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ascii(drawn())


@pytest.mark.parametrize("form", ["text", "mermaid", "dot"])
@pytest.mark.parametrize("n", [3_000, pytest.param(25_000, marks=pytest.mark.sweep)])
def test_a_plan_of_any_depth_is_drawn_in_full(form: Any, n: int) -> None:
    plan = a
    for i in range(n):
        plan = (plan.attempt(), when(keep, plan), plan | b, loop_while(keep, plan))[i % 4]
    drawn = render(plan, form)
    assert len(drawn.splitlines()) > n
    assert len(drawn) < 10_000_000


def test_an_unknown_form_is_one_clear_error() -> None:
    with pytest.raises(ValueError, match="form is 'text', 'mermaid' or 'dot', not 'png'"):
        render(a, "png")  # type: ignore[arg-type]


@frozen
class Moment:
    """A span."""

    id: int
    name: str
    start: float
    end: float
    parent: int | None = None
    attempt: int = 1
    status: str = "succeeded"
    parts: tuple[tuple[int, int], ...] = ()


@frozen
class Moments:
    """A trace."""

    spans: tuple[Moment, ...]
    left_out: int = 0
    totals: tuple[Total, ...] = ()


ROW = re.compile(r"  #\d+;(?:[^\W_]|[ ,=+/!?'_]|#\d+;)* :(?:done, |crit, |active, )?(?:milestone, )?s\d+, \d+, \d+")


@given(st.lists(st.tuples(st.text(), st.floats(0, 1e6), st.floats(0, 1e3)), max_size=5))
def test_any_trace_is_a_chart(rows: list[tuple[str, float, float]]) -> None:
    trace = Moments(tuple(Moment(i, name, start, start + took) for i, (name, start, took) in enumerate(rows)))
    head = [line.split()[0] for line in render_trace(trace).splitlines()[:4]]
    assert head == ["gantt", "title", "dateFormat", "axisFormat"]
    lines = render_trace(trace).removesuffix("\n").split("\n")[4:]
    assert [bool(ROW.fullmatch(line)) for line in lines] == [True] * len(rows)
    assert render(trace, "mermaid") == render_trace(trace)


def test_a_trace_shows_who_overlapped() -> None:
    trace: Any = Moments((Moment(0, "run", 0, 4), Moment(1, "a:b", 0, 2, 0, 2, "failed"), Moment(2, "c", 3, 3, 0)))
    assert render_trace(trace).splitlines()[4:] == [
        "  #114;un :done, s0, 0, 4000",
        "  #97;#58;b #40;attempt 2, failed#41; :crit, s1, 0, 2000",
        "  #99; :done, milestone, s2, 3000, 3000",
    ]
    assert render(trace).splitlines() == [
        "3 spans in 4000 ms: when each began, how long it took",
        f"|{'#' * 40}|        0      4000 ms  run",
        f"|{'x' * 20}{' ' * 20}|        0      2000 ms    a:b (attempt 2, failed)",
        f"|{' ' * 30}#{' ' * 9}|     3000         0 ms    c",
    ]
    with pytest.raises(ValueError, match="no time axis"):
        render(trace, "dot")


@settings(max_examples=15)
@given(plans(), states())
def test_notebooks_are_given_the_text_and_the_picture(plan: Plan[Any, Any], value: Sample) -> None:
    for shown in (plan, traced(plan)(value).log):
        drawn: Any = shown
        assert drawn._repr_mimebundle_() == {
            "text/plain": render(drawn),
            "text/vnd.mermaid": render(drawn, "mermaid"),
        }
        # As a notebook asks, which may say what it can show.
        assert drawn._repr_mimebundle_(include={"text/plain"}, exclude=None)["text/plain"] == render(drawn)

"""Strict mode: a tool has what it declared; any other use is a fault that names tool and what was used."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio.lowlevel
import pytest
from clocks import Runner, on_both, really_on_both
from hypothesis import given
from hypothesis import strategies as st
from untyped import arun, bind, recover, run

from lambdacat import ActionFailed, Context, Denied, PlanError, Refused, Stopped, Success, fail, identity, task
from lambdacat.tools import Capability, Held, Toolbox, grants, tool
from lambdacat.tools.capability import capability


def strict(action: Any, **options: Any) -> Any:
    """The plan of a strict tool on a mapping of arguments."""
    return Toolbox(tool("a.b", blocking="inline", **options)(action)).strict().from_arguments("a.b")


def refused(outcome: Any) -> str:
    """Why a run was refused. Errors: ``AssertionError``."""
    match outcome.failure():
        case Refused(by="strict mode", reason=reason):
            return str(reason)
        case fault:
            raise AssertionError(fault)


# --- what was not declared -------------------------------------------------------------------------------------------

USES: dict[str, Any] = {
    "reads 'users'": lambda ctx: ctx["users"]["ada"],
    "looks for 'users'": lambda ctx: ctx.get("users"),
    "writes 'users'": lambda ctx: grants.writing("users"),
    "net:evil.example": lambda ctx: grants.require("net:evil.example"),
    "net:api.example.org:80": lambda ctx: grants.require("net:api.example.org:80"),
    "fs:/etc/passwd": lambda ctx: grants.require("fs:/etc/passwd"),
    "llm": lambda ctx: grants.require("llm"),
    "exec": lambda ctx: grants.require("exec"),
}
DECLARED: Any = {"reads": "cities", "writes": "log", "capabilities": ("net:api.example.org:443", "fs:/srv/reports")}


def swallowed(use: Any) -> Any:
    """A tool that goes on as if nothing had been refused."""

    def action(ctx: Context) -> int:
        try:
            use(ctx)
        except Denied:
            return 1
        return 2

    return action


def wrapped(use: Any) -> Any:
    """A tool that says something else of it."""

    async def action(ctx: Context) -> int:
        await anyio.sleep(0.01)
        try:
            use(ctx)
        except Exception as error:
            raise ValueError("something went wrong") from error
        return 2

    return action


def in_a_thread(use: Any) -> Any:
    """A tool whose own thread uses what its context has."""

    def action(ctx: Context) -> int:
        errors = list[Exception]()

        def tried() -> None:
            try:
                use(ctx)
            except Denied as error:
                errors.append(error)

        thread = threading.Thread(target=tried)
        thread.start()
        thread.join(10)
        return len(errors)

    return action


@pytest.mark.parametrize("style", [swallowed, wrapped])
@pytest.mark.parametrize("use", USES)
@really_on_both
def test_a_use_that_was_not_declared_is_refused_whatever_the_tool_does(on: Runner, use: str, style: Any) -> None:
    """R-P4: all of them."""
    what = use.split("'")[1] if "'" in use else use
    context = {"users": {"ada": 1}}
    reason = refused(on(lambda: arun(strict(style(USES[use]), **DECLARED), {}, context=context)))
    assert reason.startswith("a.b does not declare")
    assert what in reason
    loose = Toolbox(tool("a.b", blocking="inline", **DECLARED)(style(USES[use]))).from_arguments("a.b")
    assert on(lambda: arun(loose, {}, context=context)) == Success(2)


resources = st.sets(st.sampled_from("abcd"), max_size=3)
used = st.lists(
    st.tuples(st.sampled_from(["reading", "writing", "require", "item"]), st.sampled_from("abcd")), max_size=4
)


@given(resources, resources, resources, used)
def test_a_call_ends_well_just_when_all_it_uses_was_declared(
    reads: set[str], writes: set[str], kinds: set[str], uses: list[tuple[str, str]]
) -> None:
    """R-P4: each use alone decides."""
    may = {
        "reading": reads | writes,
        "writing": writes,
        "require": {f"kind_{kind}" for kind in kinds},
        "item": reads | writes,
    }

    def action(ctx: Context) -> None:
        for use, name in uses:
            match use:
                case "require":
                    grants.require(f"kind_{name}")
                case "item":
                    _ = ctx[name]
                case _:
                    getattr(grants, use)(name)

    plan = strict(action, reads=reads, writes=writes, capabilities=[f"kind_{kind}" for kind in kinds])
    outcome = run(plan, {}, context=dict.fromkeys("abcd", 0))
    wrong = [name for use, name in uses if (f"kind_{name}" if use == "require" else name) not in may[use]]
    if wrong:
        assert f"'{wrong[0]}'" in (reason := refused(outcome)) or f"kind_{wrong[0]}" in reason
    else:
        assert outcome == Success(None)


def test_what_a_context_hands_out_is_watched_in_threads_of_the_tool_too() -> None:
    assert "'users'" in refused(run(strict(in_a_thread(USES["reads 'users'"])), {}, context={"users": {}}))


@on_both
def test_what_was_declared_is_there(on: Runner) -> None:
    async def action(ctx: Context) -> Any:
        grants.require("net:api.example.org")
        grants.require("llm:small")
        grants.reading("log")
        grants.writing("log")
        assert grants.allowed("llm")
        assert not grants.allowed("exec")
        assert sorted(ctx._things) == ["cities", "llm", "log"]
        await anyio.sleep(1)
        return ctx["cities"], ctx["llm"], ctx.get("log", 0)

    plan = strict(action, reads="cities", writes="log", capabilities=("net:api.example.org", "llm"))
    given = {"cities": 1, "llm": 2, "log": 3, "secret": 4}
    assert on(lambda: arun(plan, {}, context=given)) == Success((1, 2, 3))


def test_nothing_is_refused_outside() -> None:
    grants.require("net:evil.example")
    grants.writing("users")
    assert grants.allowed("exec")


def test_a_failure_that_has_nothing_to_do_with_it_stays_what_it_is() -> None:
    assert isinstance(run(strict(lambda: 1 / 0), {}).failure(), ActionFailed)


@on_both
def test_neighbours_are_not_confined(on: Runner) -> None:
    """Side by side and after: what is granted is of one call."""

    @tool("a.strict")
    async def narrow() -> None:
        await anyio.sleep(2)

    @task
    async def free(n: Any) -> Any:
        await anyio.sleep(1)
        grants.require("exec")
        return n

    plan = Toolbox(narrow).strict().task("a.strict", into=())
    assert on(lambda: arun((plan & free) >> free, 0)) == Success(0)


def test_what_comes_after_is_not_confined() -> None:
    plan: Any = Toolbox(tool("a.strict", blocking="inline")(lambda: None)).strict().task("a.strict", into=())
    assert run(plan >> task(blocking="inline")(lambda n: grants.allowed("exec")), 0) == Success(True)
    assert grants.allowed("exec")


@on_both
def test_what_a_plain_function_leaves_to_be_awaited_is_confined(on: Runner) -> None:
    async def later() -> int:
        grants.require("exec")
        return 1

    plan = strict(lambda: later())
    assert "the capability exec" in refused(on(lambda: arun(plan, {})))


def test_a_strict_tool_inside_another_has_what_both_declare() -> None:
    inner = strict(lambda: grants.require("llm"), capabilities="llm")
    assert "a.c" in refused(
        run(Toolbox(tool("a.c", blocking="inline")(lambda: run(inner, {}))).strict().from_arguments("a.c"), {})
    )
    assert run(strict(lambda: run(inner, {}) == Success(None), capabilities="llm"), {}) == Success(True)


# --- whole plans -----------------------------------------------------------------------------------------------------


@task(blocking="inline")
def reach(n: Any) -> Any:
    """A step that uses the network."""
    grants.require("net:evil.example")
    return n


@task
async def reach_later(n: Any, ctx: Context) -> Any:
    """A step that uses it after a while, through its context."""
    await anyio.lowlevel.checkpoint()
    return ctx["net"]


@task
async def reach_in_bits(n: Any) -> AsyncIterator[Any]:
    """A step that uses it after its first bit."""
    yield n
    grants.require("net:evil.example")


def instead(fault: Any) -> Any:
    """A handler that uses it."""
    return reach


@pytest.mark.parametrize(
    "plan",
    [
        reach,
        reach_later,
        reach_in_bits,
        identity >> reach.named("x").retry(1),
        bind(lambda n: reach),
        recover(fail(Stopped(reason="")), instead),
        bind(lambda n: bind(lambda m: reach)),
    ],
    ids=lambda plan: plan.name,
)
@on_both
def test_every_step_of_a_plan_is_confined(on: Runner, plan: Any) -> None:
    context = {"net": 1}
    box: Any = Toolbox().with_plan("a.plan", plan).strict()
    assert "a.plan does not declare" in refused(on(lambda: arun(box.task("a.plan"), 0, context=context)))
    box = Toolbox().with_plan("a.plan", plan, capabilities="net:evil.example").strict()
    assert isinstance(on(lambda: arun(box.task("a.plan"), 0, context=context)), Success)


def test_a_plan_needs_what_the_tools_in_it_need() -> None:
    inner: Any = Toolbox(tool("a.b", capabilities="llm", reads="users", writes="log")(lambda: 1))
    for box in (inner, inner.strict()):
        whole = box.with_plan("a.plan", box.task("a.b", into=()) >> box.task("a.b"))["a.plan"]
        assert (whole.capabilities, whole.reads, whole.writes) == ((capability("llm"),), ("users",), ("log",))


# --- what stands for a resource --------------------------------------------------------------------------------------


def test_a_thing_that_is_held_asks_for_what_is_done_with_it() -> None:
    table = {"ada": 1}
    context = {"users": Held("users", table, reads=("get", "items"))}
    read: Any = {
        "item": lambda ctx: ctx["users"]["ada"],
        "get": lambda ctx: ctx["users"].get("ada"),
        "in": lambda ctx: "ada" in ctx["users"],
        "len": lambda ctx: len(ctx["users"]),
        "iter": lambda ctx: list(ctx["users"]),
    }
    written: Any = {
        "set": lambda ctx: ctx["users"].__setitem__("ada", 2),
        "update": lambda ctx: ctx["users"].update(ada=3),
        "del": lambda ctx: ctx["users"].__delitem__("ada"),
    }
    for use in read.values():
        assert isinstance(run(strict(use, reads="users"), {}, context=context), Success)
    for use in written.values():
        assert "changes to the resource 'users'" in refused(run(strict(use, reads="users"), {}, context=context))
    assert table == {"ada": 1}
    for use in (*read.values(), *written.values()):
        assert isinstance(run(strict(use, writes="users"), {}, context=context), Success)
    assert table == {}
    with pytest.raises(AttributeError):
        _ = context["users"]._thing_of_its_own


# --- capabilities ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "asked", "covered"),
    [
        ("net:api.example.org", "net:api.example.org", True),
        ("net:api.example.org", "net:API.Example.ORG.", True),
        ("net:api.example.org", "net:api.example.org:8443", True),
        ("net:api.example.org:443", "net:api.example.org:443", True),
        ("net:api.example.org:443", "net:api.example.org", False),
        ("net:api.example.org:443", "net:api.example.org:80", False),
        ("net:example.org", "net:api.example.org", False),
        ("net:*.example.org", "net:a.b.example.org", True),
        ("net:*.example.org", "net:example.org", False),
        ("net:*.example.org", "net:evilexample.org", False),
        ("net:*.example.org", "net:example.org.evil.net", False),
        ("net:*.example.org", "net:*.api.example.org", False),
        ("net:*", "net:anything.at.all:1", True),
        ("net:bücher.example", "net:xn--bcher-kva.example", True),
        ("net:::1", "net:[::1]:80", True),
        ("net:[::1]:80", "net:[::2]:80", False),
        ("llm", "llm:small", True),
        ("llm:small", "llm", False),
        ("llm:small", "llm:large", False),
        ("exec:git", "exec:git", True),
        ("exec", "llm", False),
        ("fs:/srv/reports", "fs:/srv/reports", True),
        ("fs:/srv/reports", "fs:/srv/reports/a/b.txt", True),
        ("fs:/srv/reports", "fs:/srv/reports2/a", False),
        ("fs:/srv/reports", "fs:/srv/reports/../secret", False),
        ("fs:/", "fs:/etc/passwd", True),
    ],
)
def test_what_a_capability_covers(declared: str, asked: str, covered: bool) -> None:
    assert capability(declared).covers(capability(asked)) is covered


@pytest.mark.parametrize(
    "text",
    ["", ":", "net:", "net: ", "net:a b", "net:a*.b", "net:*.*.b", "net:a..b", "net:a:x", "net:a:0", "net:a:70000",
     "net:a:", "net:[::1]x", "net:http://a", "net:a/b", "net:u@a", "NET:a", "fs:", "fs:a", "fs:/a\0b", "llm:", 3],
)  # fmt: skip
def test_what_is_no_capability_is_refused(text: Any) -> None:
    with pytest.raises(PlanError):
        capability(text)


def test_links_are_followed_before_paths_are_compared(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "secret").write_text("x")
    (tmp_path / "reports" / "way out").symlink_to(tmp_path / "secret")
    (tmp_path / "way in").symlink_to(tmp_path / "reports")
    (tmp_path / "round").symlink_to(tmp_path / "round")
    granted = capability(f"fs:{tmp_path}/reports")
    assert not granted.covers(capability(f"fs:{tmp_path}/reports/way out"))
    assert granted.covers(capability(f"fs:{tmp_path}/way in/new"))
    assert not granted.covers(capability(f"fs:{tmp_path}/round/x"))


hosts = st.lists(st.sampled_from(["a", "b", "api", "example", "org"]), min_size=1, max_size=4).map(".".join)
written = st.sampled_from(["{}", "*.{}", "{}:443", "*.{}:443"]).flatmap(lambda form: hosts.map(form.format))


@given(written, written, hosts)
def test_covering_is_an_order(one: str, other: str, host: str) -> None:
    a, b, c = (capability(f"net:{text}") for text in (one, other, host))
    assert capability(str(a)) == a
    assert isinstance(a, Capability)
    assert a.covers(a)
    assert not (a.covers(b) and b.covers(c)) or a.covers(c)
    if c.covers(a):
        assert a.target.removesuffix(":443") == host

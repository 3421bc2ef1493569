"""Beginning, resuming, replaying and forking runs from a command line."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Collection, Coroutine, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar, final

from attrs import field, frozen

from lambdacat.codec import Codecs
from lambdacat.commands import context_named, load, looked_up, value_for
from lambdacat.context import Context
from lambdacat.fault import Outcome, Unanswered, shortened
from lambdacat.interpreters.arun import arun
from lambdacat.interpreters.classes import codecs_of
from lambdacat.interpreters.journal import RunSetAside, past_of
from lambdacat.interpreters.replaying import fork, replay
from lambdacat.interpreters.runs import RECORDED, resume, run_durable
from lambdacat.plan import Plan, Pure
from lambdacat.runs_cli.ending import ended, ended_replay
from lambdacat.runs_cli.refusing import check_place, found_in, plainly
from lambdacat.runs_cli.tables import counted
from lambdacat.runs_cli.words import Form
from lambdacat.shown import Shown, UsageError, as_json
from lambdacat.stopping import stopped_here, until_stopped
from lambdacat.store.places import KeptJournal, Place, journal_in
from lambdacat.store.runs_at_rest import NoRun, RunAtRest, journal_at_rest, run_in
from lambdacat.structure import fold
from lambdacat.terminal import Observer, plain, progress

T = TypeVar("T")


@final
@frozen
class Going:
    """Which run a command goes on with, and under which plan."""

    place: Place
    run: str
    plan: str
    """How the command line names it."""
    codecs: str | None
    context: str | None
    progress: bool = field(kw_only=True)
    """Whether steps are shown while they run."""

    def journal(self, run: str) -> KeptJournal:
        """The journal of a run in the place."""
        return journal_in(self.place, run, codecs_named(self.codecs))

    def hint(self, run: str) -> str:
        """How somebody who stopped a run goes on with it."""
        words = ["lambdacat", "runs", "resume", str(self.place), run, "--plan", self.plan]
        for option, name in (("--codecs", self.codecs), ("--context", self.context)):
            words += [option, name] if name else []
        return plain(f"to go on: {shlex.join(words)}")


def codecs_named(spec: str | None) -> Codecs:
    """The codecs that a command line names. Errors: ``UsageError``."""
    if spec is None:
        return Codecs()
    found = looked_up(spec, "codecs", Codecs)
    if isinstance(found, Codecs):
        return found
    try:
        return Codecs(*found)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{spec} are no codecs: {error}") from error


# --- beginning and resuming ------------------------------------------------------------------------------------------


@plainly
def begin(going: Going, given: str | None, mode: Literal["async", "sync"]) -> Shown:
    """Begin a run, or go on with the one of that name. Errors: ``UsageError`` when it began with another input."""
    plan, context = load(going.plan), context_named(going.context)
    journal = going.journal(going.run)
    begun = _begun(going)
    if begun is None:
        value = value_for(plan, given)
    else:
        value = RECORDED
        _check_not_aside(begun)
        if given is not None:
            _check_input(going, plan, value_for(plan, given))
    if mode == "sync":
        with closing(journal), stopped_here(going.hint(going.run)), _watched(going, plan) as seen:
            outcome = run_durable(plan, value, journal, context, seen)
    else:
        outcome = _conducted(going, plan, journal, lambda seen: _gone(plan, value, journal, context, seen))
    return ended(outcome, going.place, going.run, "text")


def _gone(
    plan: Plan[Any, Any], value: Any, journal: KeptJournal, context: Context, seen: Collection[Observer]
) -> Coroutine[Any, Any, Outcome[Any]]:
    if value is RECORDED:
        return resume(plan, journal, context=context, observers=seen)
    return arun(plan, value, journal=journal, context=context, observers=seen)


@plainly
def go_on(going: Going, form: Form, *, again: bool) -> Shown:
    """Go on with a run. Errors: ``UsageError`` when it has not begun, or the plan is another."""
    found = _begun_in(going.place, going.run)
    plan, context = load(going.plan), context_named(going.context)
    if not again:
        _check_not_aside(found)
    journal = going.journal(going.run)
    outcome = _conducted(
        going, plan, journal, lambda seen: resume(plan, journal, context=context, observers=seen, again=again)
    )
    return ended(outcome, going.place, going.run, form)


def _begun(going: Going) -> RunAtRest | None:
    if isinstance(going.place, Path) and not going.place.exists():
        return None
    check_place(going.place)
    try:
        found = run_in(going.place, going.run)
    except (NoRun, Unanswered):
        return None  # whatever is wrong with the place, opening the journal says so
    return found if found.entries else None


def _check_not_aside(found: RunAtRest) -> None:
    if found.status == "set-aside":
        raise RunSetAside(
            f"run {found.run!r} is set aside: {found.aside}; see its last step with lambdacat runs show, and resume it"
            " with --again"
        )


def _check_input(going: Going, plan: Plan[Any, Any], value: Any) -> None:
    journal = journal_at_rest(going.place, going.run, codecs_named(going.codecs))
    past, codecs = past_of(journal), codecs_of(plan, journal)
    assert past is not None
    began = codecs.from_tree(past.begin["input"])
    if codecs.to_tree(value) != codecs.to_tree(began):
        raise UsageError(
            f"run {going.run!r} began with another input, {shortened(began)}; leave --input out to go on with it, or"
            " give the new run another name"
        )


# --- new runs out of old ones ----------------------------------------------------------------------------------------


@plainly
def replayed(going: Going, form: Form, *, changed: tuple[str, ...], into: str | None) -> Shown:
    """Run again with changed steps. Errors: ``UsageError`` for an unknown step, and for a new run that is there."""
    _begun_in(going.place, going.run)
    plan, context = load(going.plan), context_named(going.context)
    source = journal_at_rest(going.place, going.run, codecs_named(going.codecs))
    target = None if into is None else going.journal(_free(going.place, into))
    made = _conducted(
        going, plan, target,
        lambda seen: replay(plan, source, changed=changed, into=target, context=context, observers=seen),
    )  # fmt: skip
    return ended_replay(made, going.place, into, form)


@plainly
def forked(place: Place, run: str, new: str, form: Form, *, at: str) -> Shown:
    """Start a new run from the middle of one. Errors: ``UsageError`` for a key that is not there, or a name that is."""
    _begun_in(place, run)
    with closing(journal_in(place, _free(place, new))) as target:
        fork(journal_at_rest(place, run), at=at, into=target)
    made = run_in(place, new)
    if form == "json":
        return Shown(as_json({"run": new, "of": run, "at": at, "steps": made.steps}))
    command = shlex.join(["lambdacat", "runs", "resume", str(place), new, "--plan", "PLAN"])
    return Shown(plain(f"run {new!r} has {counted(made.steps, 'step')} of run {run!r}; to go on: {command}"))


def _begun_in(place: Place, run: str) -> RunAtRest:
    """A run that has entries. Errors: ``UsageError`` for one that has none."""
    found = found_in(place, run)
    if not found.entries:
        raise UsageError(f"run {run!r} has not begun: its process ended before anything was written")
    return found


def _free(place: Place, run: str) -> str:
    """The name, if no run has it. Errors: ``UsageError``."""
    if not run.strip():
        raise UsageError("the new run needs a name")
    try:
        taken = run_in(place, run).entries > 0
    except NoRun:
        return run
    if taken:
        raise UsageError(f"{place} has a run {run!r} already; give the new run a name of its own")
    return run


# --- while it runs ---------------------------------------------------------------------------------------------------


def _conducted(
    going: Going,
    plan: Plan[Any, Any],
    journal: KeptJournal | None,
    work: Callable[[Collection[Observer]], Coroutine[Any, Any, T]],
) -> T:
    """What comes of the work, on an event loop. Errors: ``Interrupted`` with how to go on."""
    with _watched(going, plan) as seen:
        if journal is None:
            return until_stopped(lambda: work(seen))
        with closing(journal):
            return until_stopped(lambda: work(seen), leave=journal.release, hint=going.hint(journal.run_id))


@contextmanager
def _watched(going: Going, plan: Plan[Any, Any]) -> Iterator[Collection[Observer]]:
    """Observers that show what is running, where somebody looks."""
    if not going.progress:
        yield ()
        return
    names: set[str] = set()

    def look(node: Plan[Any, Any], below: list[None]) -> None:
        if not below and not isinstance(node, Pure):
            names.add(node.name)

    fold(plan, look)
    with progress(sys.stderr, frozenset(names)) as observer:
        yield (observer,)

"""The words of ``lambdacat runs``: what each command takes, and which function does it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from lambdacat.arguments import age, count, place

if TYPE_CHECKING:
    from lambdacat.shown import Shown

Form = Literal["text", "json"]
Command = Callable[[argparse.Namespace], "Shown"]

FILE = "the journal file, or the address of a PostgreSQL database: postgresql://user@host/name"
PLAN = "the plan of the run: package.module:plan or path/to/file.py:plan"
CONTEXT = "what the plan's tasks may ask for: module:name of a Context, of a mapping, or of a function that gives one"
CODECS = "the Codecs that the journal was written with, or a sequence for Codecs: package.module:codecs"
EPILOG = """\
exit codes:
  0    done; the run succeeded
  1    the run faulted or is set aside, or the journal is damaged or cannot be read or written
  2    the command line is wrong: no such file, run, key, step or plan, another plan, an answer of another type
  3    the run waits for an answer
  4    another process owns the run, or has taken it over
  130  interrupted by Ctrl-C (143 by SIGTERM); the run can be resumed

examples:
  lambdacat run flows.py:publish --journal runs.db --run-id monday
  lambdacat runs list runs.db
  lambdacat runs show runs.db monday
  lambdacat runs answer runs.db monday yes
  lambdacat runs resume runs.db monday --plan flows.py:publish
  lambdacat runs replay runs.db monday --plan flows.py:publish --changed write
  lambdacat runs fork runs.db monday tuesday --at 2
  lambdacat runs prune runs.db --older-than 30d --dry-run
  lambdacat runs list postgresql://me@example.org/runs
"""

_REMOVABLE = ("success", "failure", "unfinished", "set-aside", "damaged")


def _statuses(text: str) -> tuple[str, ...]:
    given = tuple(text.split(","))
    for status in given:
        if status in ("running", "waiting"):
            raise argparse.ArgumentTypeError(f"a run that is {status} is only removed by name, with --run")
        if status not in _REMOVABLE:
            raise argparse.ArgumentTypeError(f"{status!r} is no status; there are {', '.join(_REMOVABLE)}")
    return given


def runs_words(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Teach a parser the commands of runs."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, what: Command, summary: str, *, run: bool = True) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=summary, description=f"{summary.capitalize()}.", parents=[common])
        added.add_argument("file", metavar="FILE", type=place, help=FILE)
        if run:
            added.add_argument("run", metavar="RUN", help="the name of the run")
        added.add_argument(
            "--json", dest="form", action="store_const", const="json", default="text", help="print one JSON document"
        )
        added.set_defaults(command=what)
        return added

    command("list", _list, "list the runs of a journal", run=False)
    _show_words(command("show", _show, "show what a run has done, and what it asks"))
    _resume_words(command("resume", _resume, "go on with a run; nothing that is done is done again"))
    _answer_words(command("answer", _answer, "answer what a run asks; it goes on when it is resumed"))
    _replay_words(command("replay", _replay, "run again with changed steps; only they and what lies downstream run"))
    _fork_words(command("fork", _fork, "start a new run from the middle of one"))
    _prune_words(command("prune", _prune, "remove old runs", run=False))


def _plan_words(command: argparse.ArgumentParser, *, required: bool = True) -> None:
    command.add_argument("--plan", required=required, metavar="PLAN", help=PLAN)
    command.add_argument("--codecs", metavar="NAME", help=CODECS)


def _context_words(command: argparse.ArgumentParser) -> None:
    command.add_argument("--context", metavar="NAME", help=CONTEXT)


def _show_words(command: argparse.ArgumentParser) -> None:
    command.add_argument("--plan", metavar="PLAN", help=f"{PLAN}; it is drawn, and held against the run")
    command.add_argument("--last", type=count, metavar="N", help="only the last N entries (default: all)")


def _resume_words(command: argparse.ArgumentParser) -> None:
    _plan_words(command)
    _context_words(command)
    command.add_argument("--again", action="store_true", help="also a run that is set aside")
    _progress_words(command)


def _progress_words(command: argparse.ArgumentParser) -> None:
    command.add_argument("--no-progress", action="store_true", help="show no progress, on a terminal either")


def _answer_words(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("key", nargs="?", metavar="KEY", help="which question; may be left out while one is open")
    add("value", metavar="VALUE", help="yes or no, text, or JSON, by what the question wants; -- before one with a -")
    _plan_words(command, required=False)


def _replay_words(command: argparse.ArgumentParser) -> None:
    _plan_words(command)
    _context_words(command)
    add = command.add_argument
    add("--changed", action="append", required=True, metavar="STEP", help="a step that has changed; may be repeated")
    add("--into", metavar="NEW_RUN", help="keep the new run there, under this name")
    _progress_words(command)


def _fork_words(command: argparse.ArgumentParser) -> None:
    command.add_argument("new", metavar="NEW_RUN", help="the name of the new run")
    command.add_argument(
        "--at", required=True, metavar="KEY", help="the first entry that the new run does not take over; see show"
    )


def _prune_words(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--older-than", type=age, metavar="AGE", help="nothing has happened to them for so long (default: 30d)")
    add("--status", type=_statuses, metavar="STATUS,...", help="with these statuses (default: success,failure)")
    add("--run", action="append", default=[], metavar="RUN", help="this run, whatever its status; may be repeated")
    add("--dry-run", action="store_true", help="say what would be removed, and remove nothing")


def journal_words(command: argparse.ArgumentParser) -> None:
    """Teach ``run`` to keep a journal."""
    add = command.add_argument
    add("--journal", type=place, metavar="FILE", help=f"make it a durable run, kept there: {FILE}; needs --run-id")
    add("--run-id", metavar="RUN", help="the name of the run; one that is there already goes on, with its own input")
    add("--codecs", metavar="NAME", help=CODECS)
    _progress_words(command)


# --- from words to functions; the rooms behind them load when first used ---------------------------------------------


def begin(given: argparse.Namespace) -> Shown:
    """``run --journal``: begin a run, or go on with it."""
    from lambdacat.runs_cli.going import Going, begin

    going = Going(given.journal, given.run_id, given.plan, given.codecs, given.context, progress=_progress(given))
    return begin(going, given.input, given.mode)


def _list(given: argparse.Namespace) -> Shown:
    from lambdacat.runs_cli.looking import listed

    return listed(given.file, given.form)


def _show(given: argparse.Namespace) -> Shown:
    from lambdacat.runs_cli.looking import shown

    return shown(given.file, given.run, given.form, plan=given.plan, last=given.last)


def _resume(given: argparse.Namespace) -> Shown:
    from lambdacat.runs_cli.going import Going, go_on

    going = Going(given.file, given.run, given.plan, given.codecs, given.context, progress=_progress(given))
    return go_on(going, given.form, again=given.again)


def _answer(given: argparse.Namespace) -> Shown:
    from lambdacat.runs_cli.answering import answered

    return answered(
        given.file, given.run, given.key, given.value, given.form, plan=given.plan, codecs=given.codecs
    )  # fmt: skip


def _replay(given: argparse.Namespace) -> Shown:
    from lambdacat.runs_cli.going import Going, replayed

    going = Going(given.file, given.run, given.plan, given.codecs, given.context, progress=_progress(given))
    return replayed(going, given.form, changed=tuple(given.changed), into=given.into)


def _fork(given: argparse.Namespace) -> Shown:
    from lambdacat.runs_cli.going import forked

    return forked(given.file, given.run, given.new, given.form, at=given.at)


def _prune(given: argparse.Namespace) -> Shown:
    from lambdacat.runs_cli.removing import pruned

    return pruned(
        given.file, given.form,
        names=tuple(given.run), seconds=given.older_than, statuses=given.status, dry_run=given.dry_run,
    )  # fmt: skip


def _progress(given: argparse.Namespace) -> bool:
    return sys.stderr is not None and sys.stderr.isatty() and not given.no_progress

"""The command line: words to arguments, and whatever happens to an exit code. What commands do is in ``commands``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Never, TextIO

from lambdacat.arguments import amount, count, path, price
from lambdacat.runs_cli.words import CONTEXT, begin, journal_words, runs_words

if TYPE_CHECKING:
    from lambdacat.shown import Shown

USAGE = 2
"""Exit code of a command that cannot be done as it was given."""

INTERRUPTED = 130
"""Exit code after Ctrl-C."""

EPILOG = """\
exit codes:
  0    done
  1    the plan faulted, or there are findings, or a law is broken
  2    the command line, the plan's name or its input is wrong
  3    the run waits for an answer (runs --help has more of journals)
  4    another process owns the run
  130  interrupted by Ctrl-C (143 by SIGTERM)

examples:
  lambdacat research "how are comparisons chained?"
  lambdacat research "what did we decide about retries" --corpus notes/ --json
  lambdacat research "what is a descriptor" --model gpt-4o-mini --max-tokens 8000
  lambdacat run examples/research.py:answer --input '"What does ** do?"'
  lambdacat run mypackage.agents:crawl --journal runs.db --run-id monday
  lambdacat dry-run mypackage.agents:crawl
  lambdacat show mypackage.agents:crawl --as mermaid
"""

RESEARCH = """\
Answers a question from Python's language reference, the docstrings of its standard library and, with --corpus, a folder
of text, Markdown, reStructuredText and Python files. Every sentence of the answer is quoted from a source; no model and
no network is used, unless one is named. Then the model widens the question and writes the answer; where it fails, or
names no sources, the answer is quoted as without it. The index, and a memory of which sources were of use, are kept in
the user's cache folder.
"""

PLAN = "package.module:plan or path/to/file.py:plan; the current folder is importable"
INPUT = "the plan's input as JSON, @FILE, or - for stdin; it becomes the plan's state class where its lenses name one"


class _Version(argparse.Action):
    """Prints the version, which is looked up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"lambdacat {version('lambdacat')}")
        parser.exit()


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with the words of a command."""

    def error(self, message: str) -> Never:
        self.exit(2, f"{self.prog}: {message}; {self.prog} --help has the words\n")


def _parser() -> argparse.ArgumentParser:
    """The words that the command line knows."""
    common = _Parser(add_help=False)
    common.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show tracebacks of errors")
    parser = _Parser(
        prog="lambdacat",
        description="Run, forecast, draw and check plans, and answer questions with one.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, what: Callable[[argparse.Namespace], Shown], summary: str) -> argparse.ArgumentParser:
        more = RESEARCH if what is _research else f"{summary[0].upper()}{summary[1:]}."
        added = commands.add_parser(name, help=summary, description=more, parents=[common])
        added.set_defaults(command=what)
        return added

    _research_words(command("research", _research, "answer a question by quoting what documents say"))
    _run_words(command("run", _run, "run a plan and print its result, as JSON where it has such a form"))
    _plan_words(command("dry-run", _dry_run, "say what a plan may do, take and cost, without running it"), INPUT)
    _show_words(command("show", _show, "draw a plan"))
    _plan_words(command("check", _check, "look for doubtful places in a plan"))
    _laws_words(command("laws", _laws, "test the laws of plans under every interpreter"))
    summary = "list, show, resume, answer, replay, fork and prune the runs of a journal file"
    runs_words(
        commands.add_parser("runs", help=summary, description=f"{summary.capitalize()}.", parents=[common]), common
    )
    return parser


def _research_words(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("question", nargs="*", metavar="QUESTION", help="put -- before one that starts with -")
    add("--corpus", type=path, metavar="DIR", help="a folder to search as well")
    add("--web", metavar="URL", help="a search endpoint to ask as well, such as SearxNG's with JSON")
    add("--json", action="store_true", help="print one JSON document")
    add("--trace", action="store_true", help="also draw which steps ran when")
    add("--cache", type=path, metavar="DIR", help="keep the index and the memory here instead")
    add("--no-progress", action="store_true", help="show no progress, on a terminal either")
    add("--journal", type=path, metavar="FILE", help="keep the run here; the same command again goes on with it")
    add("--no-memory", action="store_true", help="neither remember this question nor use what is remembered")
    add("--forget", action="store_true", help="first forget all earlier questions; may stand without a question")
    add = command.add_argument_group("a model, of any service that speaks OpenAI's protocol").add_argument
    add("--model", metavar="NAME", help="let it write the answer, every sentence with its sources (or OPENAI_MODEL)")
    add("--base-url", metavar="URL", help="its service (or OPENAI_BASE_URL); OPENAI_API_KEY is the key for it")
    add("--max-tokens", type=count, metavar="N", help="use no more tokens than this")
    add("--max-money", type=amount, metavar="X", help="spend no more than this; wants --price")
    add("--price", type=price, nargs=2, metavar=("IN", "OUT"), help="what a million tokens cost, in and out")
    add("--max-seconds", type=amount, metavar="S", help="quote, if it has not answered after so long (default: 120)")


def _plan_words(command: argparse.ArgumentParser, given: str = "") -> None:
    command.add_argument("plan", metavar="PLAN", help=PLAN)
    if given:
        command.add_argument("--input", metavar="JSON", help=given)


def _run_words(command: argparse.ArgumentParser) -> None:
    _plan_words(command, INPUT)
    mode = command.add_mutually_exclusive_group().add_argument
    mode(
        "--async", dest="mode", action="store_const", const="async", default="async", help="on an event loop (default)"
    )
    mode("--sync", dest="mode", action="store_const", const="sync", help="in this thread, one step after the other")
    command.add_argument("--context", metavar="NAME", help=CONTEXT)
    journal_words(command)


def _show_words(command: argparse.ArgumentParser) -> None:
    _plan_words(command)
    command.add_argument("--as", dest="form", choices=("text", "mermaid", "dot"), default="text", help="default: text")


def _laws_words(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--suite", action="append", default=[], metavar="NAME", help="only this suite; may be repeated")
    add("--format", choices=("text", "json"), default="text", help="default: text")
    add("--examples", type=count, default=20, metavar="N", help="random examples for each law (default: 20)")


def _research(given: argparse.Namespace) -> Shown:
    from lambdacat.research_command import answer

    return answer(given)


def _run(given: argparse.Namespace) -> Shown:
    from lambdacat import commands
    from lambdacat.shown import UsageError

    if given.journal is not None and given.run_id:
        return begin(given)
    if given.run_id == "":
        raise UsageError("--run-id is the name of the run, and cannot be empty")
    if given.journal is not None or given.run_id is not None:
        raise UsageError("a durable run needs both --journal, its file, and --run-id, its name")
    return commands.run(given.plan, given.input, given.mode, given.context)


def _dry_run(given: argparse.Namespace) -> Shown:
    from lambdacat import commands

    return commands.forecast(given.plan, given.input)


def _show(given: argparse.Namespace) -> Shown:
    from lambdacat import commands

    return commands.show(given.plan, given.form)


def _check(given: argparse.Namespace) -> Shown:
    from lambdacat import commands

    return commands.check(given.plan)


def _laws(given: argparse.Namespace) -> Shown:
    from lambdacat import commands

    said = sys.stderr if sys.stderr is not None and sys.stderr.isatty() else None
    return commands.laws(tuple(given.suite), given.format, given.examples, said)


def _obeyed(given: argparse.Namespace) -> Shown:
    """What the command shows, with mistakes and interruptions as what is shown."""
    from lambdacat.shown import Interrupted, Shown, UsageError

    try:
        shown: Shown = given.command(given)
    except UsageError as error:
        return Shown("", USAGE, f"lambdacat: {error}", error)
    except Interrupted as error:
        said = "; ".join(("interrupted", *getattr(error, "__notes__", ())))
        return Shown("", error.code, f"lambdacat: {said}")
    except KeyboardInterrupt:
        return Shown("", INTERRUPTED, "lambdacat: interrupted")
    return shown


def _write(text: str, to: TextIO | None) -> int:
    """Write a text that ends its line; returns an exit code. A reader that has seen enough is no error.

    None is a stream that was closed before the program began.
    """
    if not text or to is None:
        return 0
    try:
        to.write(text.encode(to.encoding or "utf-8", "backslashreplace").decode(to.encoding or "utf-8") + "\n")
        to.flush()
    except BrokenPipeError:
        _discard(to)
    except OSError as error:
        _discard(to)
        return _write(f"lambdacat: cannot write: {error.strerror or error}", sys.stderr) or 1 if to is sys.stdout else 1
    return 0


def _discard(to: TextIO) -> None:
    """Send the rest nowhere, so that the interpreter has nothing to complain about when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), to.fileno())


def main(argv: Sequence[str] | None = None) -> int:
    """Do what ``argv`` says and return the exit code."""
    given = _parser().parse_args(argv)
    try:
        shown = _obeyed(given)
        if shown.error is not None and getattr(given, "debug", False):
            import traceback

            _write("".join(traceback.format_exception(shown.error)).rstrip(), sys.stderr)
        _write(shown.aside, sys.stderr)
        return _write(shown.text, sys.stdout) or shown.code
    except KeyboardInterrupt:
        return INTERRUPTED

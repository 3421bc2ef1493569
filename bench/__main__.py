"""``python -m bench [kernel] [memory] [durable]``: one table of ratios to hand-written Python; all three by default."""

from __future__ import annotations

import argparse
import csv
import os
import platform
import sys
import tempfile
from pathlib import Path

from bench import durable, memory, questions
from bench.pairs import Question, Row

GROUPS: dict[str, tuple[Question, ...]] = {
    "kernel": questions.QUESTIONS,
    "memory": memory.QUESTIONS,
    "durable": durable.QUESTIONS,
}
NOT_YET: frozenset[Question] = frozenset({memory.updated_in_a_plan, memory.evicting, memory.using})
"""Rows that are over their reach and known to be: they are printed as they are, and ``--check`` lets them be."""
SLACK = 1.3
"""How far over its reach a ratio may be before ``--check`` fails: other programs share the machine."""

_HEAD = ("question", "ours", "floor", "units", "ratio", "reach", "met")


def _cells(row: Row) -> tuple[str, ...]:
    aim = ("-", "-") if row.reach is None else (f"{row.reach:g}", "yes" if row.within() else "no")
    return (row.question, f"{row.ours:.4g}", f"{row.floor:.4g}", row.units, f"{row.ratio:.3g}", *aim)


def _written(rows: list[Row], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "bench.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_HEAD)
        writer.writerows(map(_cells, rows))
    lines = [f"| {' | '.join(cells)} |" for cells in (_HEAD, ("---",) * len(_HEAD), *map(_cells, rows))]
    (folder / "bench.md").write_text("\n".join(lines) + "\n")


def _answered(question: Question, pairs: int, *, twice: bool) -> Row:
    """The row of a question; the better of two where the first is over its reach and ``twice`` is asked for."""
    row = question(pairs)
    if not twice or question in NOT_YET or row.within(SLACK):
        return row
    return min(row, question(pairs), key=lambda one: one.ratio)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=main.__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"{', '.join(GROUPS)} (all)")
    parser.add_argument("--pairs", type=int, default=15, help="interleaved pairs for each ratio (15)")
    parser.add_argument("--check", action="store_true", help="fail on a ratio over 1.3 times its reach, measured twice")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results"), help="folder for the files")
    parser.add_argument("--folder", help="where journals are; what a flush costs is up to its disk")
    given = parser.parse_args()
    if unknown := [name for name in given.groups if name not in GROUPS]:
        parser.error(f"no group {unknown[0]!r}; there are {', '.join(GROUPS)}")
    return given


def main() -> int:
    """Print the table; with ``--check`` exit 1 when a ratio is over 1.3 times its reach, twice."""
    given = _arguments()
    tempfile.tempdir = given.folder
    load = "/".join(f"{one:.1f}" for one in os.getloadavg())
    print(
        f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, load {load} before;"
        f" median of {given.pairs} interleaved pairs"
    )
    rows, failed = [], []
    for question in (question for name in given.groups or GROUPS for question in GROUPS[name]):
        row = _answered(question, given.pairs, twice=given.check)
        rows.append(row)
        if question not in NOT_YET and not row.within(SLACK):
            failed.append(row)
        name, ours, floor, units, ratio, reach, met = _cells(row)
        aim = "" if row.reach is None else f"reach {reach:>5}x  {met}"
        print(f"{name:<50} {ours:>9} {units} against {floor:>9} {units}   {ratio:>7}x  {aim}".rstrip(), flush=True)
    _written(rows, given.out)
    if not given.check:
        return 0
    for row in failed:
        print(f"over 1.3 times its reach, twice: {row.question} ({row.ratio:.3g}x)", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())

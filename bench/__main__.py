"""``python -m bench [--pairs N] [--check] [--out FOLDER]``: one table of ratios to hand-written Python."""

from __future__ import annotations

import argparse
import csv
import platform
import sys
from pathlib import Path

from bench.pairs import Row
from bench.questions import QUESTIONS

_HEAD = ("question", "ours", "floor", "units", "ratio", "reach", "met")


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.question,
        f"{row.ours:.4g}",
        f"{row.floor:.4g}",
        row.units,
        f"{row.ratio:.3g}",
        f"{row.reach:g}",
        "yes" if row.met else "no",
    )


def _written(rows: list[Row], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "bench.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_HEAD)
        writer.writerows(map(_cells, rows))
    lines = [f"| {' | '.join(cells)} |" for cells in (_HEAD, ("---",) * len(_HEAD), *map(_cells, rows))]
    (folder / "bench.md").write_text("\n".join(lines) + "\n")


def main() -> int:
    """Print the table; with ``--check`` exit 1 when a ratio is over 1.3 times its reach, twice."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=main.__doc__)
    parser.add_argument("--pairs", type=int, default=15, help="interleaved pairs for each ratio (15)")
    parser.add_argument("--check", action="store_true", help="fail on a ratio over 1.3 times its reach, measured twice")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results"), help="folder for the files")
    given = parser.parse_args()
    print(f"Python {platform.python_version()}, {platform.machine()}, median of {given.pairs} interleaved pairs")
    rows, failed = [], []
    for question in QUESTIONS:
        row = question(given.pairs)
        if given.check and row.ratio > 1.3 * row.reach:
            row = min(row, question(given.pairs), key=lambda one: one.ratio)
            if row.ratio > 1.3 * row.reach:
                failed.append(row)
        rows.append(row)
        name, ours, floor, units, ratio, reach, met = _cells(row)
        print(f"{name:<48} {ours:>9} {units} against {floor:>9} {units}   {ratio:>6}x  reach {reach:>5}x  {met}")
        sys.stdout.flush()
    _written(rows, given.out)
    for row in failed:
        print(f"over 1.3 times its reach, twice: {row.question} ({row.ratio:.3g}x)", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())

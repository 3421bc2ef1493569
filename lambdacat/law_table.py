"""What the laws came to, as tables that fit a terminal."""

from __future__ import annotations

from itertools import groupby
from shutil import get_terminal_size
from string import ascii_lowercase
from textwrap import indent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lambdacat.testing import LawResult


def matrix(results: tuple[LawResult, ...]) -> str:
    """Laws down, interpreters across, and in each cell the number of examples that held, or that the law broke."""
    tables = [_table(suite, tuple(rows)) for suite, rows in groupby(results, key=lambda each: each.suite)]
    broken = [each for each in results if not each.passed]
    said = [
        "\n".join(
            (f"{' / '.join(filter(None, (each.suite, each.law, each.interpreter)))}:", indent(each.message, "  "))
        )
        for each in broken
    ]
    count = len({(each.suite, each.law) for each in results})
    verdict = f"{len(broken)} of {len(results)} checks broken" if broken else f"all {count} laws hold"
    return "\n\n".join((*tables, *said, f"{verdict}; {sum(each.examples for each in results)} examples"))


def _table(suite: str, results: tuple[LawResult, ...]) -> str:
    """The rows of one suite; a law of values has no interpreter, and one column."""
    columns = tuple(dict.fromkeys(each.interpreter for each in results))
    laws = tuple(dict.fromkeys(each.law for each in results))
    cells = {(each.law, each.interpreter): str(each.examples) if each.passed else "BROKEN" for each in results}
    first = 2 + max(map(len, (suite, *laws)))
    heads = [column or "values" for column in columns]
    legend = ""
    if first + sum(len(head) + 2 for head in heads) > get_terminal_size().columns:
        letters = ascii_lowercase[: len(heads)]
        legend = "  " + ", ".join(map(" ".join, zip(letters, heads, strict=True)))
        widest = max(map(len, cells.values()))
        heads = [letter.rjust(widest) for letter in letters]
    lines = [suite.ljust(first) + "".join(head.rjust(len(head) + 2) for head in heads)]
    for law in laws:
        row = [cells.get((law, column), "-").rjust(len(head) + 2) for column, head in zip(columns, heads, strict=True)]
        lines.append(f"  {law}".ljust(first) + "".join(row))
    return "\n".join((*lines, *filter(None, [legend])))

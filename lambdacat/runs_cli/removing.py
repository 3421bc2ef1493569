"""Removing runs that nobody needs any more."""

from __future__ import annotations

from collections.abc import Collection

from lambdacat.runs_cli.refusing import check_place, plainly
from lambdacat.runs_cli.tables import amount, counted, run_document, runs_table
from lambdacat.runs_cli.words import Form
from lambdacat.shown import Shown, UsageError, as_json
from lambdacat.store.places import Place
from lambdacat.store.runs_at_rest import Removed, RunAtRest, Status, named_runs, old_runs, remove, size_of
from lambdacat.terminal import plain

MONTH = 30 * 86400.0
"""Units: seconds."""
ENDED: tuple[Status, ...] = ("success", "failure")


@plainly
def pruned(
    place: Place,
    form: Form,
    *,
    names: tuple[str, ...],
    seconds: float | None,
    statuses: Collection[Status] | None,
    dry_run: bool,
) -> Shown:
    """Remove runs by name, or by age and status. Errors: ``UsageError`` for both at once, and for one that is owned."""
    check_place(place)
    if names and (seconds is not None or statuses is not None):
        raise UsageError("--run removes the runs that it names, whatever their age and status; leave the others out")
    if names:
        chosen = named_runs(place, names)
    else:
        chosen = old_runs(place, ENDED if statuses is None else statuses, MONTH if seconds is None else seconds)
    if dry_run:
        size = size_of(place)
        done = Removed(runs=chosen, kept=(), before=size, after=size, large="")
    else:
        done = remove(place, chosen)
    return _document(done, dry_run) if form == "json" else _text(done, place, dry_run)


def _document(done: Removed, dry_run: bool) -> Shown:
    document = {
        "dry_run": dry_run,
        "removed": [run_document(run) for run in done.runs],
        "kept": [run.run for run in done.kept],
        "size_before": done.before,
        "size_after": done.after,
        "not_smaller_because": done.large,
    }
    return Shown(as_json(document))


def _text(done: Removed, place: Place, dry_run: bool) -> Shown:
    lines = [runs_table(done.runs), ""] if done.runs else []
    lines.append(f"{'would remove' if dry_run else 'removed'} {_runs(done.runs)}")
    if not dry_run and done.runs:
        why = f" (not made smaller: {done.large}; the space is used again)" if done.large else ""
        lines.append(plain(f"{place} took {amount(done.before)} and takes {amount(done.after)} now{why}"))
    stops = "would stop" if dry_run else "stops"
    owners = [run.owner for run in done.runs if run.owner is not None]
    lines += [f"process {owner} has one of them and {stops} when it next writes" for owner in owners]
    lines += [plain(f"kept {run.run!r}: somebody has taken it up or answered it") for run in done.kept]
    return Shown("\n".join(lines))


def _runs(runs: tuple[RunAtRest, ...]) -> str:
    return f"{counted(len(runs), 'run')}, {amount(sum(run.size for run in runs))}"

"""What a person at a terminal sees while a plan runs."""

from __future__ import annotations

import sys
import time
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdacat.event import Finished, Started
from lambdacat.terminal import Running, progress

# --- progress --------------------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(["a", "b", "other"]), max_size=30))
def test_progress_shows_what_is_running_and_counts_what_has_ended(names: list[str]) -> None:
    running = Running({"a", "b"})
    for number, name in enumerate(names):
        running(Started(id=number, parent=None, time=0.0, attempt=1, name=name))
    shown = running.lines(time.monotonic())
    assert {line.partition(",")[0].partition(" ")[0] for line in shown[1:]} == set(names) - {"other"}
    for number in range(len(names)):
        running(Finished(id=number, parent=None, time=0.0, status="succeeded", value=None, fault=None))
    steps = sum(name != "other" for name in names)
    assert running.lines(time.monotonic()) == [f"{steps} step{'' if steps == 1 else 's'} done"]


@pytest.mark.parametrize("rich", [True, False])
def test_progress_leaves_nothing_behind(rich: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not rich:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    to = StringIO()
    with progress(to, {"a"}) as observer:
        observer(Started(id=0, parent=None, time=0.0, attempt=1, name="a"))
    # What is left on the line is taken off it, or nothing was written at all.
    assert to.getvalue() == "" or to.getvalue().endswith("\r\x1b[K")

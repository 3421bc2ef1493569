"""Signals during a command: what runs is cancelled and cleans up, and what does not end in time is left behind."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, get_ident

import anyio
import pytest
from runs_shell import Process, Say, Spec, done, entries, processes, say, spec

from lambdacat import Limits, arun, gather, task
from lambdacat.shown import Interrupted
from lambdacat.stopping import until_stopped
from lambdacat.store.runs_at_rest import run_in

__all__ = ["processes", "say", "spec"]

LEAST = 5
"""How many signals a sweep sends at least, whatever its time."""
START = 2.0
"""Units: seconds. What a signal may wait for an interpreter that is still starting, on a machine that is busy: a module
that is being imported is not left in the middle."""


def test_a_signal_wakes_a_loop_that_sleeps() -> None:
    begun, cleaned = Event(), Event()
    seen: list[bool] = []

    @task
    async def nap(value: int) -> int:
        try:
            begun.set()
            await anyio.sleep(60)
        finally:
            cleaned.set()
        return value

    @task
    def tell(value: int) -> int:
        begun.wait()
        time.sleep(0.02)  # the loop has nothing left to do
        signal.pthread_kill(get_ident(), signal.SIGTERM)
        seen.append(cleaned.wait(10))
        return value

    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with pytest.raises(Interrupted) as stopped:
            until_stopped(lambda: arun(gather(nap, tell), 0), seconds=60.0, hint="to go on: sleep")
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (seen, stopped.value.code, stopped.value.__notes__) == ([True], 143, ["to go on: sleep"])


LEFT = "what did not stop in time was left behind; "


def test_sigterm_cleans_up_and_the_run_can_be_resumed(say: Say, spec: Spec, processes: Callable[..., Process]) -> None:
    """R-C8. A step that waits is cancelled; one in a thread, or one that never gives way, is left behind."""
    shapes = {"naps": "", "blocks": LEFT, "stands": LEFT}
    started = {plan: processes("run", spec(plan), "--journal", f"{plan}.db", "--run-id", "a") for plan in shapes}
    for process in started.values():
        process.until("asleep").told(signal.SIGTERM)
    Path("awake").touch()
    for plan, left in shapes.items():
        hint = f"to go on: lambdacat runs resume {plan}.db a --plan {spec(plan)}"
        assert started[plan].ended() == (143, "", f"lambdacat: interrupted; {left}{hint}\n")
        found = run_in(Path(f"{plan}.db"), "a")
        assert (found.status, found.steps, found.crashes, found.owner) == ("unfinished", 1, 0, None)
        code, out, err = say("runs", "resume", f"{plan}.db", "a", "--plan", spec(plan))
        assert (code, json.loads(out.removeprefix("asleep\n"))["words"], err) == (0, 2, "")
    assert done().count("more") == 6
    assert "cleaned" in done()


@pytest.mark.sweep
@pytest.mark.parametrize("plan", ["naps", "blocks", "stands", "turns"])
def test_sigterm_at_any_moment_leaves_a_run_that_can_be_resumed(
    say: Say, spec: Spec, processes: Callable[..., Process], plan: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """R-C8."""
    source, began, trials, took = random.Random(8), time.perf_counter(), 0, list[float]()
    seconds = float(os.environ.get("LAMBDACAT_SWEEP_SECONDS", "60"))
    while trials < LEAST or (trials < 100 and time.perf_counter() - began < seconds):
        Path("awake").unlink(missing_ok=True)
        Path("done").unlink(missing_ok=True)
        file = Path(f"{plan}{trials}.db")
        process = processes("run", spec(plan), "--journal", file, "--run-id", "a")
        time.sleep(source.random() * 0.8)
        told = time.monotonic()
        code, _, err = process.told(signal.SIGTERM).ended()
        took.append(time.monotonic() - told)
        assert code in (0, 143, -signal.SIGTERM), err
        assert "Traceback" not in err or code == -signal.SIGTERM
        Path("awake").touch()
        ended = say("run", spec(plan), "--journal", file, "--run-id", "a")
        assert ended[0] == 0, ended
        kept = [each for each in entries("a", file) if each["kind"] == "done"]
        assert len(kept) == len({each["key"] for each in kept})
        assert len(done()) <= len(kept) + 2, "more than the step in flight was done again"
        trials += 1
    assert max(took) <= Limits().grace + 0.5 + START, sorted(took)[-5:]
    with capsys.disabled():
        said = f"{trials} signals, over within {max(took):.2f} s of it"
        print(f"\n{plan}: {said}, in {time.perf_counter() - began:.1f} s", end="")

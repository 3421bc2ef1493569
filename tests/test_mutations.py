"""Planted mutations of the kernel are caught."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from mutations import MUTATIONS, stale

from lambdacat.testing.proving import rotating_seed

SCRIPT = Path(__file__).with_name("mutations.py")


def test_every_mutation_still_has_its_line() -> None:
    assert stale(MUTATIONS) == []


@pytest.mark.sweep
def test_planted_mutations_of_the_kernel_are_caught(capsys: pytest.CaptureFixture[str]) -> None:
    # All of them take several minutes: whoever has no time for that says how many, drawn anew each time.
    wanted = os.environ.get("LAMBDACAT_MUTATIONS", "all")
    sample = [] if wanted == "all" else ["--sample", str(int(wanted)), "--seed", str(rotating_seed())]
    done = subprocess.run([sys.executable, str(SCRIPT), *sample], capture_output=True, text=True, check=False)
    with capsys.disabled():
        print("\n" + done.stdout.strip(), end="")
    assert done.returncode == 0, done.stdout + done.stderr

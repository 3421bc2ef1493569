"""Every planted mutation of the kernel is caught."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.sweep
def test_every_mutation_of_the_kernel_is_caught(capsys: pytest.CaptureFixture[str]) -> None:
    script = Path(__file__).with_name("mutations.py")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    with capsys.disabled():
        print("\n" + done.stdout.strip(), end="")
    assert done.returncode == 0, done.stdout + done.stderr

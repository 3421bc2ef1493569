"""Hypothesis profiles, and fixtures for every test."""

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import HealthCheck, settings

from lambdacat.redaction import forget
from lambdacat.testing.fixtures import virtual_clock, virtual_loop

__all__ = ["virtual_clock", "virtual_loop"]

_QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]

# Derandomized: a failure here is a failure everywhere. What rotates is in the sweeps, which print their seeds.
settings.register_profile(
    "dev", max_examples=20, deadline=None, derandomize=True, database=None, suppress_health_check=_QUIET
)
settings.register_profile("ci", settings.get_profile("dev"), max_examples=300)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


INDEX = "import sys, pathlib; from lambdacat.tools.corpus import open_stdlib; open_stdlib(pathlib.Path(sys.argv[1]))"
BUILD = pytest.StashKey[subprocess.Popen[bytes]]()
FOLDER = pytest.StashKey[Path]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin what takes long: the index of the library is built on another core until it is wanted."""
    wanted = any("library" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted and not session.config.option.collectonly:
        folder = Path(mkdtemp(prefix="lambdacat-tests-"))
        session.stash[FOLDER] = folder
        session.stash[BUILD] = subprocess.Popen([sys.executable, "-c", INDEX, str(folder / "lambdacat")])
    # Thousands of collected tests are no garbage, and what a test leaves need not be found at once.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave nothing behind."""
    if BUILD in session.stash:
        session.stash[BUILD].kill()
        session.stash[BUILD].wait()
        shutil.rmtree(session.stash[FOLDER], ignore_errors=True)


@pytest.fixture(scope="session")
def library(request: pytest.FixtureRequest) -> Path:
    """A cache for every test that only reads one, with the library in it; ``XDG_CACHE_HOME`` may name its parent."""
    assert request.session.stash[BUILD].wait(60) == 0
    return request.session.stash[FOLDER] / "lambdacat"


@pytest.fixture(autouse=True)
def _forgotten_secrets() -> Iterator[None]:
    """What one test keeps secret is no secret of the next."""
    yield
    forget()

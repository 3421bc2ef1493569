"""Indexes that survive kills, races and odd files, and searches that survive odd terms."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdacat.tools import corpus
from lambdacat.tools.corpus import CorpusError, Index, Skip, Source, default_cache, open_folder, open_stdlib, search
from lambdacat.tools.passages import MARKS, split

# Dies at the n-th checkpoint, or when the written index is flushed or is about to take its name.
DIE = """
import os, pathlib, signal, sys
from lambdacat.tools.corpus import open_folder, open_stdlib
cache, folder, moment, name = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3], sys.argv[4]
die = lambda *_: os.kill(os.getpid(), signal.Signals[name])
calls = iter(range(int(moment)) if moment.isdecimal() else iter(int, 1))
match moment:
    case "flush": os.fsync = die
    case "rename": pathlib.Path.replace = die
checkpoint = lambda: next(calls, None) is None and die()
open_folder(folder, cache, checkpoint=checkpoint) if folder.is_dir() else open_stdlib(cache, checkpoint=checkpoint)
"""
BUILD = "import sys, pathlib; from lambdacat.tools.corpus import open_stdlib; open_stdlib(pathlib.Path(sys.argv[1]))"
BUILD_FOLDER = """
import sys, pathlib
from lambdacat.tools.corpus import open_folder
cache, folder = map(pathlib.Path, sys.argv[1:])
open_folder(folder, cache)
"""


@pytest.fixture(scope="module")
def cache(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that tests may damage."""
    return shutil.copytree(library, tmp_path_factory.mktemp("cache"), dirs_exist_ok=True)


@pytest.fixture(scope="module")
def stdlib(cache: Path) -> Index:
    return open_stdlib(cache)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    (folder / "deep").mkdir(parents=True)
    (folder / "tea.md").write_text("# Green tea\n\nSteep for three minutes.\n", encoding="utf-8")
    (folder / "deep" / "coffee.txt").write_text("Coffee wants water just off the boil.\n", encoding="utf-8")
    return folder


def locators(index: Index, *terms: str, source: Source = Source.FOLDER) -> list[str]:
    return [passage.locator for passage in search(index, terms, source=source)]


def forbidden(*_: object) -> None:
    raise AssertionError("nothing was to be built")


def test_topics_and_docstrings_are_found_by_what_they_say(stdlib: Index) -> None:
    assert locators(stdlib, "chained", "comparisons", source=Source.TOPICS)[0] == "topic:comparisons"
    assert "doc:statistics.median" in locators(stdlib, "median", source=Source.DOCSTRINGS)


@pytest.mark.parametrize(
    ("term", "locator"),
    [("**", "topic:power"), ("with", "topic:with"), ("is", "topic:comparisons"), (":=", "topic:operator-summary")],
)
def test_operators_and_keywords_find_their_topic(stdlib: Index, term: str, locator: str) -> None:
    assert locator in locators(stdlib, term, source=Source.TOPICS)[:4]


@pytest.mark.parametrize(
    "locator", ["doc:itertools.groupby", "doc:len", "doc:collections.deque", "doc:asyncio.run", "doc:random.shuffle"]
)
def test_docstrings_stand_under_the_name_that_users_import(stdlib: Index, locator: str) -> None:
    name = locator.removeprefix("doc:")
    found = search(stdlib, [name], source=Source.DOCSTRINGS, limit=200)
    assert name in [passage.title for passage in found]


@given(st.lists(st.text(max_size=20), max_size=5), st.sampled_from([Source.TOPICS, Source.DOCSTRINGS]))
def test_no_term_breaks_a_search(stdlib: Index, terms: list[str], source: Source) -> None:
    assert len(search(stdlib, terms, source=source, limit=4)) <= 4


@pytest.mark.parametrize("term", ['"unbalanced', "a AND", "NEAR(", "title:", "c++", "*", "\0", "\ud800", "{a}: b"])
def test_query_syntax_is_only_text(stdlib: Index, term: str) -> None:
    assert len(search(stdlib, [term], source=Source.TOPICS, limit=8)) <= 8


def test_second_use_builds_nothing(stdlib: Index, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "docstrings", forbidden)
    monkeypatch.setattr(corpus, "topics", forbidden)
    assert open_stdlib(cache) == stdlib


def test_two_processes_at_once_leave_one_whole_index_of_a_folder(tmp_path: Path, notes: Path) -> None:
    cache = tmp_path / "cache"
    builds = [subprocess.Popen([sys.executable, "-c", BUILD_FOLDER, str(cache), str(notes)]) for _ in range(2)]
    assert [build.wait() for build in builds] == [0, 0]
    assert len(list(cache.iterdir())) == 1
    assert locators(open_folder(notes, cache), "coffee") == ["file:deep/coffee.txt:1"]


@pytest.mark.sweep
def test_two_processes_at_once_leave_one_whole_index(tmp_path: Path) -> None:
    builds = [subprocess.Popen([sys.executable, "-c", BUILD, str(tmp_path)]) for _ in range(2)]
    assert [build.wait() for build in builds] == [0, 0]
    assert len(list(tmp_path.iterdir())) == 1
    assert locators(open_stdlib(tmp_path), "lambda", source=Source.TOPICS)[0] == "topic:lambda"


def dying(cache: Path, folder: Path, moment: str, name: str) -> int:
    """The exit status of a process that a signal ends in the middle of building."""
    command = [sys.executable, "-c", DIE, str(cache), str(folder), moment, name]
    return subprocess.run(command, capture_output=True, check=False).returncode


@pytest.mark.parametrize("moment", ["0", "2", "flush", "rename"])
def test_kill_leaves_the_old_index_and_the_next_use_works(tmp_path: Path, notes: Path, moment: str) -> None:
    cache = tmp_path / "cache"
    old = open_folder(notes, cache)
    before = old.path.read_bytes()
    (notes / "new.md").write_text("# Maté\n\nFrom a gourd.\n", encoding="utf-8")
    assert dying(cache, notes, moment, "SIGKILL") == -signal.SIGKILL
    assert old.path.read_bytes() == before
    assert locators(open_folder(notes, cache), "gourd") == ["file:new.md:3"]


@pytest.mark.parametrize("moment", ["0", "60"])
def test_kill_during_the_first_build_leaves_no_index(tmp_path: Path, moment: str) -> None:
    assert dying(tmp_path, tmp_path / "none", moment, "SIGKILL") == -signal.SIGKILL
    assert list(tmp_path.glob("*.sqlite")) == []


def test_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    assert dying(tmp_path, tmp_path / "none", "60", "SIGINT") != 0
    assert list(tmp_path.iterdir()) == []


def test_remains_of_a_killed_build_are_swept(tmp_path: Path, notes: Path) -> None:
    old, young = tmp_path / "old.partial", tmp_path / "young.partial"
    for remains in (old, young):
        remains.touch()
    os.utime(old, (0, 0))
    open_folder(notes, tmp_path)
    assert (old.exists(), young.exists()) == (False, True)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def overwrite(path: Path) -> None:
    path.write_text("not a database", encoding="utf-8")


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate, overwrite, empty])
def test_damaged_index_is_built_again(tmp_path: Path, notes: Path, damage: Callable[[Path], None]) -> None:
    index = open_folder(notes, tmp_path / "cache")
    damage(index.path)
    assert locators(open_folder(notes, tmp_path / "cache"), "steep") == ["file:tea.md:3"]


def test_search_in_a_damaged_index_says_so(tmp_path: Path) -> None:
    (tmp_path / "x.sqlite").write_text("not a database", encoding="utf-8")
    with pytest.raises(CorpusError, match="is damaged"):
        search(Index(tmp_path / "x.sqlite"), ["tea"], source=Source.FOLDER)


def test_folder_is_found_by_line_and_heading(tmp_path: Path, notes: Path) -> None:
    index = open_folder(notes, tmp_path / "cache")
    [tea] = search(index, ["minutes"], source=Source.FOLDER)
    assert (tea.title, tea.locator, tea.text) == ("Green tea", "file:tea.md:3", "Steep for three minutes.")
    assert locators(index, "boil") == ["file:deep/coffee.txt:1"]


def test_only_changed_files_are_read_again(tmp_path: Path, notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    open_folder(notes, cache)
    read: list[str] = []
    text = corpus._text

    def recorded(path: Path) -> str | Skip:
        read.append(path.name)
        return text(path)

    monkeypatch.setattr(corpus, "_text", recorded)
    (notes / "tea.md").write_text("# Black tea\n\nSteep for five minutes or longer.\n", encoding="utf-8")
    (notes / "water.rst").write_text("Water\n=====\n\nSoft is best.\n", encoding="utf-8")
    (notes / "deep" / "coffee.txt").unlink()
    index = open_folder(notes, cache)
    assert read == ["tea.md", "water.rst"]
    assert locators(index, "five") == ["file:tea.md:3"]
    assert locators(index, "soft") == ["file:water.rst:4"]
    assert locators(index, "three", "coffee", "boil") == []


def test_unchanged_folder_writes_nothing(tmp_path: Path, notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = open_folder(notes, tmp_path / "cache")
    monkeypatch.setattr(corpus, "_replace", forbidden)
    assert open_folder(notes, tmp_path / "cache") == index


def test_files_that_cannot_be_read_are_skipped_and_counted(tmp_path: Path, notes: Path) -> None:
    (notes / "nul.md").write_bytes(b"tea \0 tea")
    (notes / "noise.txt").write_bytes(b"\xff\xfe\x81\x02")
    (notes / "huge.txt").write_bytes(b"tea " * 300_000)
    (notes / "dangling.md").symlink_to(notes / "nowhere.md")
    os.mkfifo(notes / "pipe.txt")
    (notes / "picture.png").write_bytes(b"\x89PNG")
    expected = ((Skip.UNREADABLE, 2), (Skip.BINARY, 2), (Skip.TOO_LARGE, 1), (Skip.OTHER_KIND, 1))
    assert open_folder(notes, tmp_path / "cache").skipped == expected
    assert open_folder(notes, tmp_path / "cache").skipped == expected
    assert locators(open_folder(notes, tmp_path / "cache"), "minutes") == ["file:tea.md:3"]


def test_odd_but_readable_files_are_indexed(tmp_path: Path, notes: Path) -> None:
    (notes / "latin.txt").write_bytes("crème brûlée".encode("latin-1"))
    (notes / "empty.md").touch()
    (notes / "broken.py").write_text("def brew(:\n    kettle", encoding="utf-8")
    Path(os.fsdecode(os.fsencode(notes) + b"/caf\xe9.md")).write_text("espresso", encoding="utf-8")
    index = open_folder(notes, tmp_path / "cache")
    assert locators(index, "brûlée") == ["file:latin.txt:1"]
    assert locators(index, "kettle") == ["file:broken.py:1"]
    assert locators(index, "espresso") == ["file:caf\\udce9.md:1"]


@pytest.mark.parametrize("use", [open_stdlib, lambda cache: open_folder(cache.parent.parent, cache)])
def test_cache_that_cannot_be_written_is_one_clear_error(tmp_path: Path, use: Callable[[Path], Index]) -> None:
    occupied = tmp_path / "file"
    occupied.touch()
    with pytest.raises(CorpusError, match="cannot keep an index in") as raised:
        use(occupied / "cache")
    assert "\n" not in str(raised.value)


def test_missing_folder_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="not a folder"):
        open_folder(tmp_path / "nowhere", tmp_path)


def test_checkpoint_ends_a_build_with_what_it_raises(tmp_path: Path, notes: Path) -> None:
    calls = iter(range(2))

    def stop() -> None:
        if next(calls, None) is None:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        open_folder(notes, tmp_path / "cache", checkpoint=stop)
    assert not list(tmp_path.glob("cache/*"))


def test_cache_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "lambdacat"
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setattr(sys, "platform", "linux")
    assert default_cache() == Path("/home/someone/.cache/lambdacat")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert default_cache() == Path("/home/someone/Library/Caches/lambdacat")


@given(st.text(st.sampled_from("ab \n#=-`"), max_size=200), st.sampled_from(sorted(MARKS)))
def test_splitting_keeps_every_word_outside_headings(text: str, suffix: str) -> None:
    kept = "".join(heading + stretch for heading, _, stretch in split(text, MARKS[suffix]))
    assert kept.count("a") <= text.count("a")
    for _, line, stretch in split(text, MARKS[suffix]):
        assert text.splitlines()[line - 1].startswith(stretch.splitlines()[0])

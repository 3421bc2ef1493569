"""A research plan that survives failing sources, and what it shows."""

import asyncio
import io
import json
import threading
from pathlib import Path
from typing import Literal

import anyio
import pytest
from test_examples import FOLDER, check_output

from lambdacat import ActionFailed, Failure, Success, TimedOut, arun, run, value_or_raise
from lambdacat.event import Finished, Started
from lambdacat.research import (
    CHECKPOINT,
    IN_TOPICS,
    PATIENCE,
    Corpus,
    Finds,
    Inquiry,
    Lookup,
    Round,
    broaden_query,
    compose_answer,
    keep_best,
    look_up,
    open_library,
    open_notes,
    patient,
    reason,
    research,
    round_of,
    search_topics,
)
from lambdacat.research_report import (
    Form,
    _one_line,
    ask,
    conduct,
    observed_by,
    progress,
    with_trace,
)
from lambdacat.research_text import document, text, warnings
from lambdacat.shown import Shown, UsageError
from lambdacat.terminal import plain
from lambdacat.testing import stub, virtual_run
from lambdacat.tools import corpus
from lambdacat.tools.answer import ROUNDS, Answer, Query, parse_question
from lambdacat.tools.corpus import CorpusError, Index, Skip, Source
from lambdacat.tools.passages import Passage

CHAINED = "how are comparisons chained?"
TEA = Passage("Green tea", "file:tea.md:3", "Steep green tea for three minutes.")


@pytest.fixture
def cache(library: Path) -> Path:
    """A cache with the library in it."""
    return library


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "tea.md").write_text("# Green tea\n\nGreen tea is steeped for three minutes.\n", encoding="utf-8")
    return folder


def inquired(question: str, cache: Path, folder: Path | None = None) -> Inquiry:
    return value_or_raise(asyncio.run(arun(research, Inquiry(question, Corpus(folder, cache)))))


def locators(done: Inquiry) -> list[str]:
    return [] if done.answer is None else [each.passage.locator for each in done.answer.sources]


def test_the_answer_quotes_the_topic(cache: Path) -> None:
    done = inquired(CHAINED, cache)
    assert locators(done)[0] == "topic:comparisons"
    assert done.answer is not None
    assert "Comparisons can be chained arbitrarily" in done.answer.text
    assert done.answer.confidence > 0.6


@pytest.mark.parametrize("question", [CHAINED, "what is with", "zebra crossing quagga", "?!", "c++", "a\0b"])
def test_one_thread_and_an_event_loop_agree(cache: Path, question: str) -> None:
    assert value_or_raise(run(research, Inquiry(question, Corpus(cache=cache)))) == inquired(question, cache)


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("why was Kafka rejected", "Kafka was rejected in favour of Redis streams"),
        ("when do deploys happen", "deploys happen every Tuesday at ten"),
        ("where is the wifi password", "the office wifi password is on the fridge"),
        ("what does quokka do", "Quokka does hopping."),
    ],
)
def test_short_notes_that_are_no_sentences_are_quoted(cache: Path, tmp_path: Path, question: str, said: str) -> None:
    (tmp_path / "list.md").write_text(
        "- retries: at most three, with jitter\n- deploys happen every Tuesday at ten\n"
        "- Kafka was rejected in favour of Redis streams\n",
        encoding="utf-8",
    )
    (tmp_path / "one.txt").write_text("the office wifi password is on the fridge\n", encoding="utf-8")
    (tmp_path / "q.py").write_text('"""Quokka does hopping."""\n', encoding="utf-8")
    done = inquired(question, cache, tmp_path)
    assert done.answer is not None
    assert said in done.answer.sentences[0].text
    assert "retries" not in done.answer.text


def test_who_quotes_nothing_is_not_confident(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("def quokka(hopping):\n    return hopping\n", encoding="utf-8")
    (tmp_path / "short.md").write_text("# Quokka hopping\n\nyes\n", encoding="utf-8")
    done = inquired("quokka hopping", cache, tmp_path)
    assert done.answer is not None
    assert (done.answer.sentences, done.answer.confidence) == ((), 0.0)


def test_a_folder_is_one_more_source(cache: Path, notes: Path) -> None:
    done = inquired("how long is green tea steeped", cache, notes)
    assert locators(done)[0] == "file:tea.md:3"
    assert done.finds.folder is not None
    assert inquired(CHAINED, cache).finds.folder is None


def test_indexes_are_opened_once_however_many_rounds(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    whole = corpus._whole

    def counted(path: Path) -> bool:
        opened.append(path)
        return whole(path)

    monkeypatch.setattr(corpus, "_whole", counted)
    done = inquired("zebra crossing quagga", cache)
    assert done.lookup.query.round == ROUNDS
    assert len(opened) == 1


def test_a_question_without_a_subject_is_not_broadened(cache: Path) -> None:
    done = inquired("?!", cache)
    assert (done.lookup.query.round, locators(done)) == (0, [])


def test_sources_that_fail_are_named_and_the_others_answer(cache: Path, tmp_path: Path) -> None:
    done = inquired(CHAINED, cache, tmp_path / "nowhere")
    assert locators(done)[0] == "topic:comparisons"
    assert done.best is not None
    assert done.best.failed == (("folder", f"not a folder: {str(tmp_path / 'nowhere')!r}"),)
    assert warnings(done) == (f"the folder could not be searched: not a folder: {str(tmp_path / 'nowhere')!r}",)


def test_a_search_is_tried_twice(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = inquired(CHAINED, cache)
    failures = [CorpusError("the disk was away"), CorpusError("the disk was away")]
    search = corpus.search

    def flaky(index: Index, terms: tuple[str, ...], *, source: Source) -> tuple[Passage, ...]:
        if source is Source.TOPICS and failures:
            raise failures.pop()
        return search(index, terms, source=source)

    monkeypatch.setattr("lambdacat.research.search", flaky)
    twice = value_or_raise(run(look_up, prepared))
    assert round_of(twice.lookup.query, twice.finds).failed == (("topics", "the disk was away"),)
    failures[:] = [CorpusError("the disk was away")]
    assert value_or_raise(run(look_up, prepared)).finds == prepared.finds


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_source_that_hangs_is_cut_by_its_timeout(cache: Path, backend: Literal["asyncio", "trio"]) -> None:
    prepared = inquired(CHAINED, cache)

    async def hanging(lookup: Lookup) -> tuple[Passage, ...]:
        await anyio.sleep_forever()
        raise AssertionError("it never wakes")

    async def main() -> tuple[Inquiry, float]:
        plan = stub(look_up, {"search topics": hanging, "search docstrings": (TEA,)})
        begin = anyio.current_time()
        return value_or_raise(await arun(plan, prepared)), anyio.current_time() - begin

    done, seconds = virtual_run(main, backend=backend)
    found = round_of(done.lookup.query, done.finds)
    [(source, why)] = found.failed
    assert (source, found.answered, seconds) == ("topics", ("docstrings",), 2 * PATIENCE)
    assert why == f"it did not answer within {PATIENCE:g} s"


def test_a_search_that_hangs_in_its_thread_is_left_there(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared, released, threads = inquired(CHAINED, cache), threading.Event(), list[str]()

    def hanging(index: Index, terms: tuple[str, ...], *, source: Source) -> tuple[Passage, ...]:
        released.wait(20)
        threads.append(source.name)
        return ()

    monkeypatch.setattr("lambdacat.research.search", hanging)
    monkeypatch.setattr("lambdacat.research.PATIENCE", 0.05)
    try:
        done = value_or_raise(asyncio.run(arun(patient(search_topics, IN_TOPICS), prepared)))
        assert threads == []
    finally:
        released.set()
    [(source, why)] = round_of(done.lookup.query, done.finds).failed
    assert source == "topics"
    assert why == "it did not answer within 0.05 s"


def test_the_example_prints_what_it_promises(cache: Path) -> None:
    check_output(FOLDER / "research.py", {"XDG_CACHE_HOME": str(cache.parent)})


def test_a_later_round_that_fails_does_not_cost_the_answer(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search = corpus.search

    def once(index: Index, terms: tuple[str, ...], *, source: Source) -> tuple[Passage, ...]:
        if len(terms) > 3:
            raise CorpusError("the disk is gone")
        return search(index, terms, source=source)

    monkeypatch.setattr("lambdacat.research.search", once)
    done = inquired("zebra crossing moves", cache)
    assert done.lookup.query.round > 0
    assert locators(done) != []


def test_all_sources_failing_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    match run(research, Inquiry(CHAINED, Corpus(cache=tmp_path / "file"))):
        case Failure(fault):
            assert reason(fault).startswith("cannot keep an index in")
            assert "\n" not in reason(fault)
        case Success(done):
            pytest.fail(f"answered {done}")


def test_a_timeout_is_said_in_one_line() -> None:
    assert reason(TimedOut(seconds=5, name="search topics")) == "it did not answer within 5 s"
    assert reason(ActionFailed(error=ValueError("two\nlines"), name="rank")) == "rank raised ValueError: two lines"


def test_the_most_confident_round_is_kept() -> None:
    sure = Round(Query("a"), (), 0.5, ("topics",))
    query = parse_question("steep tea")
    found = Finds(topics=Success((TEA,)))
    assert keep_best.action(query, Finds(topics=Success(())), sure) is sure
    assert keep_best.action(query, found, None) == round_of(query, found)
    assert keep_best.action(query, found, round_of(query, found)) == round_of(query, found)


def test_steps_are_plain_functions() -> None:
    assert broaden_query.action(parse_question("folders")).round == 1
    assert compose_answer.action(Round(Query("tea"), (), 0.0, ("topics",))) == Answer((), (), 0.0)
    with pytest.raises(CorpusError, match="nothing was searched"):
        compose_answer.action(None)


def test_a_checkpoint_of_the_context_ends_the_building(tmp_path: Path) -> None:
    def stop() -> None:
        raise CorpusError("enough")

    for step in (open_library, open_notes):
        outcome = run(step, Corpus(tmp_path, tmp_path / "cache"), context={CHECKPOINT.name: stop})
        assert reason(outcome.failure()) == "enough"
    assert list(tmp_path.glob("cache/*")) == []


def test_an_index_that_was_never_opened_is_a_reason() -> None:
    outcome = run(search_topics, Inquiry("?").lookup)
    assert reason(outcome.failure()) == "the plan stopped the run: it was not opened"


class Terminal(io.StringIO):
    """A terminal that keeps what it is sent."""

    def isatty(self) -> bool:
        """It says so."""
        return True


# --- what is shown ---------------------------------------------------------------------------------------------------


def asked(question: str, where: Corpus, form: Form = Form.TEXT) -> Shown:
    return ask(question, where, runner=observed_by(), form=form)


def test_document_has_its_shape(cache: Path, notes: Path) -> None:
    (notes / "noise.txt").write_bytes(b"\0")
    shown = json.loads(asked("how long is green tea steeped", Corpus(notes, cache), Form.DOCUMENT).text)
    assert {"answer", "sources", "confidence", "rounds", "seconds", "skipped"} <= shown.keys()
    assert shown["sources"][0].keys() == {"title", "locator", "passage", "score"}
    scores = [each["score"] for each in shown["sources"]]
    assert scores == sorted(scores, reverse=True)
    assert (shown["skipped"], shown["skipped_because"]) == (1, {"binary": 1})
    assert shown["rounds"] >= 1
    assert "skipped" not in document(inquired(CHAINED, cache), 0.1)


def test_text_names_sources_and_skipped_files(cache: Path, notes: Path) -> None:
    (notes / "noise.txt").write_bytes(b"\0")
    (notes / "picture.png").write_bytes(b"")
    shown = text(inquired("how long is green tea steeped", cache, notes), 0.25)
    assert "[1] file:tea.md:3" in shown
    assert "0.25 s." in shown
    assert "no model wrote it" in shown
    assert "Skipped 2 files of the folder: 1 binary, 1 of another kind." in shown


def test_text_fits_a_terminal(cache: Path) -> None:
    prose = [line for line in text(inquired(CHAINED, cache), 0.1, width=60).splitlines() if not line.startswith(" ")]
    assert max(map(len, prose)) <= 60


def test_doubt_is_said(cache: Path) -> None:
    assert "low confidence" in asked("zebra quagga", Corpus(cache=cache)).aside
    assert asked(CHAINED, Corpus(cache=cache)).aside == ""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b2Jwiped", "2Jwiped"),
        ("back\x08\rover", "backover"),
        ("\u202etxt", "txt"),
        ("kept\n\tas is", "kept\n\tas is"),
    ],
)
def test_a_terminal_obeys_nothing_of_it(given: str, expected: str) -> None:
    assert plain(given) == expected


def test_escapes_of_a_file_are_not_shown(cache: Path, notes: Path) -> None:
    (notes / "evil.md").write_text("# Oolong \x1b[2J\n\nOolong tea is \x1b]0;x\x07steeped twice.\n", encoding="utf-8")
    for form in Form:
        shown = asked("how is oolong tea steeped", Corpus(notes, cache), form).text
        assert "Oolong tea is steeped twice." in shown
        assert "\x1b" not in shown
        assert "\\u001b" not in shown


def test_nothing_asked_is_a_mistake(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="question is empty"):
        asked(" \n", Corpus(cache=cache))
    with pytest.raises(UsageError, match="not a folder"):
        asked(CHAINED, Corpus(tmp_path / "nowhere", cache))


def test_a_trace_shows_the_searches(cache: Path) -> None:
    shown = ask(CHAINED, Corpus(cache=cache), runner=with_trace).text
    assert [name in shown for name in ("search topics", "search docstrings", "timeout")] == [True, True, False]


def test_progress_shows_steps_as_they_go_by(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    to = Terminal()
    with progress(to) as runner:
        report = conduct(Inquiry(CHAINED, Corpus(cache=cache)), runner)
    assert isinstance(report.outcome, Success)
    assert "search topics" in to.getvalue()


def test_progress_without_rich_is_one_line_that_clears_itself() -> None:
    to = io.StringIO()
    with _one_line(to) as show:
        show(Started(id=1, parent=None, time=0.0, name="search topics", attempt=1))
        show(Started(id=2, parent=None, time=0.0, name="retry", attempt=1))
        show(Finished(id=1, parent=None, time=0.1, name="search topics", status="succeeded", value=None, fault=None))
    assert to.getvalue() == "\r\x1b[Ksearch topics\r\x1b[K\r\x1b[K"


def test_every_reason_to_skip_has_words() -> None:
    assert all(why.value for why in Skip)

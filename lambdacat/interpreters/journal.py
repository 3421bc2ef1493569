"""The journal of a run: what a log must be able to do, what stands in it, and how it is read back.

An entry is one line: the digest of the entry and of everything before it, then a JSON document. So the entries form a
hash chain, whatever keeps them: a changed, missing or reordered one is found when the journal is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from hashlib import blake2b
from itertools import islice
from typing import Any, Protocol, final, runtime_checkable

from attrs import field, frozen

from lambdacat.codec import Codec, Codecs
from lambdacat.redaction import redacted_tree

Document = dict[str, Any]


class Journal(Protocol):
    """The log of one run, so that another process can go on; ``lambdacat.store`` has some.

    An ``append`` has returned when the entry is safe. A journal may also be ``Grouped``, ``Leased``,
    ``Answerable`` or ``Lasting``.
    """

    def entries(self) -> Iterable[bytes]: ...
    def append(self, entry: bytes) -> None: ...


@runtime_checkable
class Grouped(Protocol):
    """A journal that takes the entries of one tick in one transaction: all of them or none."""

    def append_all(self, entries: Sequence[bytes]) -> None: ...


@runtime_checkable
class Leased(Protocol):
    """A journal with one owner at a time."""

    def acquire(self, *, again: bool = False) -> int:
        """Own the run until ``release``: the number of this ownership, which only grows.

        With ``again`` also a run that was set aside. Errors: ``RunBusy``, ``RunSetAside``.
        """

    def release(self) -> None: ...


@runtime_checkable
class Answerable(Protocol):
    """A journal that takes answers from any process, also while a run owns it."""

    def answer(self, key: str, value: bytes) -> bool:
        """Keep an answer; False if there is one already, which stays."""

    def answers(self) -> Mapping[str, bytes]: ...


@runtime_checkable
class Lasting(Protocol):
    """A journal that lies in a file or a database, and says what is there without making anything."""

    def missing(self) -> str:
        """Why there is no such run, in a few words; empty when there is one."""


def absence(journal: Journal) -> str:
    """Why a journal has no run, as far as it can tell without making one; empty when there is one."""
    return journal.missing() if isinstance(journal, Lasting) else ""


def check_there(journal: Journal, to: str) -> None:
    """Refuse what only a run that is there can do. Errors: ``ValueError``."""
    if why := absence(journal):
        raise ValueError(f"there is no run to {to}: {why}")


def called(journal: Journal) -> str:
    """What messages call a journal."""
    return getattr(journal, "name", None) or type(journal).__name__


def unbegun(journal: Journal) -> str:
    """That a journal is empty, in words."""
    run = getattr(journal, "run_id", "")
    return f"{called(journal)} has no entries{f' of a run {run!r}' if run else ''}"


def near(run: str, known: Sequence[str]) -> str:
    """What the name of a run that is not there may have been meant to be, out of ``known``, latest first."""
    close = get_close_matches(run, known, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"it has {', '.join(map(repr, known[:5]))}{', ...' * (len(known) > 5)}" if known else "it is empty"


def check_journal(journal: object) -> None:
    """Refuse what is no journal, in one line."""
    if not (callable(getattr(journal, "entries", None)) and callable(getattr(journal, "append", None))):
        raise TypeError(f"journal= wants a journal, such as SqliteJournal(path, run_id=...), not {journal!r}")


class JournalCorrupt(Exception):
    """What a journal holds is not what was written to it; nothing of it has been used."""


class RunBusy(Exception):
    """Another process owns this run, or has taken it over."""


class RunSetAside(Exception):
    """A run that ended its process too often; it is not resumed unless somebody says so."""


@final
class MemoryJournal:
    """A journal that lives as long as its process: for tests, replays and trying things out."""

    def __init__(self, run_id: str = "", *, codecs: Codecs | Sequence[type | Codec] = ()) -> None:
        self.run_id = run_id
        self.codecs = codecs if isinstance(codecs, Codecs) else Codecs(*codecs)
        self._entries: list[bytes] = []
        self._answers: dict[str, bytes] = {}

    @property
    def name(self) -> str:
        """What messages call it."""
        return "the journal in memory"

    def entries(self) -> Iterable[bytes]:
        """Every entry so far."""
        return tuple(self._entries)

    def append(self, entry: bytes) -> None:
        """Keep one more."""
        self._entries.append(entry)

    def append_all(self, entries: Sequence[bytes]) -> None:
        """Keep several."""
        self._entries.extend(entries)

    def answer(self, key: str, value: bytes) -> bool:
        """Keep an answer, if it is the first."""
        if key in self._answers:
            return False
        self._answers[key] = value
        return True

    def answers(self) -> Mapping[str, bytes]:
        """Every answer."""
        return dict(self._answers)


# --- entries ---------------------------------------------------------------------------------------------------------

_WIDTH = 32
_NEXT = _WIDTH + 1
_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def sealed(before: bytes, document: Document) -> tuple[bytes, bytes]:
    """The digest of the chain with ``document`` at its end, and the entry."""
    text = _dumps(redacted_tree(document)).encode()
    digest = _digest(before + text)
    return digest, digest + b" " + text


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=_WIDTH // 2).hexdigest().encode()


def sealed_answer(run: str, key: str, value: bytes) -> bytes:
    """An answer with the digest of what it answers: it stands beside the chain, where anybody may write."""
    return _digest(f"{run}\n{key}\n".encode(errors="backslashreplace") + value) + b" " + value


def unsealed_answer(run: str, key: str, kept: bytes) -> bytes:
    """The answer again. Errors: ``JournalCorrupt``."""
    value = kept[_NEXT:]
    if type(kept) is not bytes or sealed_answer(run, key, value) != kept:
        raise JournalCorrupt(
            f"the answer to {key!r} of run {run!r} is not what was given; restore the journal from a copy"
        )
    return value


def unsealed(entries: Iterable[bytes], run: str = "") -> tuple[list[Document], bytes]:
    """What stands in a chain of entries, and the digest of all. Errors: ``JournalCorrupt`` at the first wrong one."""
    before = b""
    found: list[Document] = []
    rest = iter(entries)
    while some := tuple(islice(rest, _AT_ONCE)):
        whole: list[bytes] = []
        for entry in some:
            # What rots may become anything, of another class too.
            if type(entry) is not bytes:
                break
            text = entry[_NEXT:]
            before = _digest(before + text)
            if entry[:_NEXT] != before + b" ":
                break
            whole.append(text)
        # Parsed together: a call for each would take as long as the parsing.
        for number, document in enumerate(json.loads(b"[%b]" % b",".join(whole)), len(found)):
            if document["n"] != number:
                raise JournalCorrupt(_broken(found, run))
            found.append(document)
        if len(whole) < len(some):
            raise JournalCorrupt(_broken(found, run))
    return found, before


def _broken(found: Sequence[Document], run: str) -> str:
    number, last = len(found), found[-1] if found else {}
    after = f", after {last.get('name') or last['kind']} at {last.get('key') or 'the beginning'}" if last else ""
    which = f" of run {run!r}" if run else ""
    return f"entry {number}{which} is not what was written{after}; restore the journal from a copy, or fork before it"


@final
@frozen(kw_only=True)
class Past:
    """What a journal says of its run."""

    begin: Document
    documents: tuple[Document, ...] = field(repr=False)
    """Every entry, in order."""
    digest: bytes
    """Of the whole chain."""

    @property
    def run(self) -> str:
        """The name of the run."""
        return str(self.begin["run"])

    @property
    def status(self) -> str:
        """``success``, ``failure`` or ``waiting`` when it has ended so; else ``unfinished``."""
        last = self.documents[-1]
        return str(last["outcome"]) if last["kind"] == "end" else "unfinished"


def past_of(journal: Journal) -> Past | None:
    """What stands in a journal; None while it is empty. Errors: ``JournalCorrupt``."""
    documents, digest = unsealed(journal.entries(), str(getattr(journal, "run_id", "")))
    if not documents:
        return None
    begin = documents[0]
    if begin["kind"] != "begin" or begin.get("format") != FORMAT:
        raise JournalCorrupt(f"this journal is of another format than {FORMAT}: {begin.get('format')!r}")
    return Past(begin=begin, documents=tuple(documents), digest=digest)


_AT_ONCE = 500
FORMAT = 1
"""Of the documents in a journal; one that reads another is refused."""

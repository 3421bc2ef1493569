"""What a plan may touch: places it reads and writes, and named resources, from the tree alone. An upper bound."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, final

from attrs import frozen
from rpds import HashTrieMap

from lambdacat.asking import Ask, SleepUntil
from lambdacat.bound import Resource
from lambdacat.condition import Condition
from lambdacat.merging import is_merged, merge
from lambdacat.optics import Lens, Traversal
from lambdacat.place import Attr, Item, Place, PlanError, overlaps, place_text, settled
from lambdacat.plan import Attempt, Bind, Choose, Focus, LoopWhile, Parallel, Plan, Pure, Recover, Task, _Fail
from lambdacat.structure import fold

EVERYTHING: Place = ()


class FootprintConflict(PlanError):
    """Two branches both declare a write to one place that declares no merge; says the place and both branches.

    Only two *declared* writes conflict when composed; tasks on the whole value are checked when run.
    """


@final
@frozen(kw_only=True)
class Footprint:
    """Places and resources a plan may read and write: an upper bound. The empty path is the whole value.

    Places more than 32 steps below the focuses around them are told by what they are parts of.
    """

    reads: frozenset[Place]
    writes: frozenset[Place]
    resources: frozenset[Resource]

    def __str__(self) -> str:
        said = [
            f"{word} {_listed(places)}" for word, places in (("reads", self.reads), ("writes", self.writes)) if places
        ]
        for word, writes in (("uses", False), ("changes", True)):
            names = sorted(one.name for one in self.resources if one.writes is writes)
            said.extend([f"{word} {', '.join(names)}"] if names else [])
        return "; ".join(said) or "touches nothing"

    def disjoint_from(self, other: Footprint) -> bool:
        """Whether the two commute: neither writes what the other touches, in the state or outside it."""
        if not _apart(self.writes, other.writes | other.reads) or not _apart(other.writes, self.reads):
            return False
        names = {r.name for r in self.resources} & {r.name for r in other.resources}
        return not any(r.writes and r.name in names for r in self.resources | other.resources)


def _listed(places: Iterable[Place]) -> str:
    return ", ".join(sorted(place_text(place) or "everything" for place in places))


def _apart(some: Iterable[Place], others: Iterable[Place]) -> bool:
    row = list(others)
    return not any(overlaps(one, other) for one in some for other in row)


class Touch(NamedTuple):
    """A footprint that still knows which writes are declared, and which of those have a declared merge."""

    reads: frozenset[Place] = frozenset()
    declared: frozenset[tuple[Place, bool]] = frozenset()
    resources: frozenset[Resource] = frozenset()
    opaque: bool = False
    """Whether it may write the whole value without having declared so."""


_OPAQUE = Touch(frozenset({EVERYTHING}), opaque=True)


def _union(all_: Iterable[Touch]) -> Touch:
    reads: set[Place] = set()
    declared: set[tuple[Place, bool]] = set()
    resources: set[Resource] = set()
    opaque = False
    for one in all_:
        reads |= one.reads
        declared |= one.declared
        resources |= one.resources
        opaque = opaque or one.opaque
    if EVERYTHING in reads:
        # Everything says it all; parts beside it would grow with the depth of the plan, at every depth.
        reads = {EVERYTHING}
    return Touch(frozenset(reads), frozenset(declared), frozenset(resources), opaque)


def read_by(test: Any) -> frozenset[Place]:
    """What a selector, condition or score reads: its lenses, or everything."""
    if isinstance(test, Condition):
        return test.places
    return frozenset({test.place if isinstance(test, Lens) else EVERYTHING})


_DEEPEST = 32
"""Steps of a place below one focus. Deeper ones count as the whole part: or each level would copy all below it."""


def _inside(node: Focus[Any, Any], inner: Touch) -> Touch:
    """The footprint of a focused plan, seen from the whole."""
    optic = node.reads
    if any(len(spot) > _DEEPEST for spot in (*inner.reads, *(spot for spot, _ in inner.declared))):
        writes = inner.opaque or bool(inner.declared)
        inner = Touch(frozenset({EVERYTHING}), resources=inner.resources, opaque=writes)
    if not isinstance(optic, Traversal):  # ``each`` alone: the whole value is the collection
        return Touch(frozenset({EVERYTHING}), resources=inner.resources, opaque=True)
    place, within = optic.place, is_merged(optic.root, optic.place)
    if node.writes is not None:
        target = node.writes
        spot = frozenset({(target.place, is_merged(target.root, target.place))})
        return Touch(frozenset({place}), spot, inner.resources)
    if not all(type(step) in (Attr, Item) for step in optic.steps):
        # Past an item that may be missing, a variant or an iso, inner places mean something else.
        reads = frozenset({place}) if inner.reads or inner.declared or inner.opaque else frozenset[Place]()
        declared = frozenset({(place, within)}) if inner.declared or inner.opaque else frozenset[tuple[Place, bool]]()
        return Touch(reads, declared, inner.resources)
    written = {((*place, *spot), within or merged) for spot, merged in inner.declared}
    if inner.opaque:
        written.add((place, within))
    return Touch(frozenset((*place, *spot) for spot in inner.reads), frozenset(written), inner.resources)


def _declared(*lenses: Any) -> frozenset[tuple[Place, bool]]:
    """The places of lenses that are written, with whether a merge is declared there."""
    return frozenset((one.place, is_merged(one.root, one.place)) for one in lenses)


def _touch(node: Plan[Any, Any], below: list[Touch]) -> Touch:
    match node:
        case Task(reads=None):
            return _OPAQUE._replace(resources=frozenset(node.resources))
        case Task():
            writes = _declared(*(node.writes or ()))
            return Touch(frozenset(one.place for one in node.reads or ()), writes, frozenset(node.resources))
        case Pure() | Bind():
            return _OPAQUE
        case Ask(question=question, into=into):
            writes = frozenset[tuple[Place, bool]]() if into is None else _declared(into)
            return Touch(frozenset() if isinstance(question, str) else frozenset({EVERYTHING}), writes)
        case SleepUntil(instant=instant):
            return Touch(frozenset({EVERYTHING}) if callable(instant) else frozenset())
        case _Fail():
            return Touch()
        case Focus():
            return _inside(node, below[0])
        case Attempt():
            # Its outcome carries the whole value, or a fault that does.
            return _union([*below, _OPAQUE])
        case Choose():
            return _union([Touch(read_by(node.selector)), *below])
        case LoopWhile():
            return _union([Touch(read_by(node.condition)), *below])
        case Recover() if node.handler is not None:
            return _union([*below, _OPAQUE])
        case Parallel():
            score = getattr(node.policy, "by", None)
            read = [Touch(read_by(score))] if score is not None else []
            return _union([*below, *read, *([] if node.join in (None, merge) else [_OPAQUE])])
        case _:
            pass
    return _union(below)


def touch(plan: Plan[Any, Any]) -> Touch:
    """The footprint with its declarations, kept on the plan."""
    return fold(plan, _touch, kept="_touch")


def footprint(plan: Plan[Any, Any]) -> Footprint:
    """What ``plan`` may touch. Law: no run touches anything else."""
    found = touch(plan)
    writes = frozenset(place for place, _ in found.declared)
    return Footprint(
        reads=found.reads, writes=writes | {EVERYTHING} if found.opaque else writes, resources=found.resources
    )


# --- conflicts between branches --------------------------------------------------------------------------------------


class _Claims(NamedTuple):
    """Who writes what, for places without a merge; persistent, so a long chain of ``&`` stays linear."""

    at: HashTrieMap[Place, str]
    """The branch that writes a place."""
    below: HashTrieMap[Place, str]
    """A branch that writes something inside a place."""

    def refuse(self, place: Place, branch: str) -> None:
        """Errors: ``FootprintConflict`` when another branch writes there."""
        spot = settled(place)
        above = [spot[:length] for length in range(len(spot) + 1)]
        other = next((self.at[one] for one in above if one in self.at), None) or self.below.get(spot)
        if other is not None:
            where = place_text(place) or "the whole value"
            raise FootprintConflict(
                f"{other} and {branch} both write {where} side by side; declare how to merge it (merged(...)), or let"
                " one branch write it"
            )


_NO_CLAIMS = _Claims(HashTrieMap(), HashTrieMap())


def _written(branch: Plan[Any, Any]) -> list[tuple[Place, str]]:
    places = {place for place, merged in touch(branch).declared if not merged}
    return [(place, branch.name) for place in sorted(places, key=place_text)]


def check_conflicts(node: Parallel[Any, Any]) -> None:
    """Refuse branches that both declare a write to one place. Errors: ``FootprintConflict``."""
    node.memo("claims", _claims)


def _claims(node: Parallel[Any, Any]) -> _Claims:
    claims, rest = _NO_CLAIMS, list(node.given)
    first = rest[0]
    if type(first) is Parallel and first.plain and node.plain:
        # The left of a chain was checked when it was built.
        claims = first.memo("claims", _claims)
        rest = rest[1:]
    for branch in rest:
        fresh = claims
        for place, name in _outermost(_written(branch)):
            fresh = _joined(claims, fresh, place, name)
        claims = fresh
    return claims


def _outermost(rows: list[tuple[Place, str]]) -> list[tuple[Place, str]]:
    """The rows that lie inside no other: a branch may write a place and also a part of it."""
    kept: list[tuple[Place, str]] = []
    for place, name in sorted(rows, key=lambda row: len(settled(row[0]))):
        if not any(overlaps(place, other) for other, _ in kept):
            kept.append((place, name))
    return kept


def _joined(before: _Claims, now: _Claims, place: Place, name: str) -> _Claims:
    before.refuse(place, name)
    spot = settled(place)
    inner = now.below
    for length in range(len(spot)):
        inner = inner.insert(spot[:length], name)
    return _Claims(now.at.insert(spot, name), inner)

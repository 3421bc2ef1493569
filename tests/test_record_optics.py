"""Lenses over classes of every kind that the library takes apart: their laws, and what they refuse."""

from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict

import pydantic
import pytest
from attrs import define, frozen
from returns.result import Success

from lambdacat import PlanError, lens, run, sequence, task
from lambdacat.testing import check_lens_laws


class Point(NamedTuple):
    x: int = 0
    y: int = 0


@frozen
class Inner:
    n: int = 0
    named: Point = Point()  # noqa: RUF009


_INNER = Inner()


@frozen
class AsAttrs:
    total: int
    inner: Inner = _INNER


@define
class AsMutableAttrs:
    total: int
    inner: Inner = _INNER


@dataclass(frozen=True)
class AsDataclass:
    total: int
    inner: Inner = _INNER


@dataclass(slots=True)
class AsMutableDataclass:
    total: int
    inner: Inner = _INNER


class AsNamedTuple(NamedTuple):
    total: int
    inner: Inner = _INNER


class AsModel(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, arbitrary_types_allowed=True)
    total: int
    inner: Inner = _INNER


class AsTypedDict(TypedDict):
    total: int
    inner: Inner


RECORDS: list[Any] = [AsAttrs, AsMutableAttrs, AsDataclass, AsMutableDataclass, AsNamedTuple, AsModel]
record_kinds = pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)


@record_kinds
def test_lenses_of_records_of_every_kind_obey_their_laws(kind: Any) -> None:
    """A28: and leave the original, and all that stands beside the part, as they were."""
    wholes = [kind(total=n, inner=Inner(2 * n, named=Point(n, 3 * n))) for n in range(3)]
    before = repr(wholes)
    ways: list[Any] = [
        lens(kind, lambda r: r.total),
        lens(kind, lambda r: r.inner.named.y),
    ]
    for way in ways:
        check_lens_laws(way, wholes, [-1, 7], max_examples=4)
        for whole in wholes:
            made = way.set(whole, 99)
            assert type(made) is kind
            assert [other.get(made) for other in ways if other != way] == [
                other.get(whole) for other in ways if other != way
            ]
    assert repr(wholes) == before


@frozen(kw_only=True)
class AsKeywords:
    total: int
    inner: Inner = _INNER


@frozen
class WiderAttrs(AsAttrs):
    more: int = 0


@frozen(kw_only=True)
class WiderKeywords(AsKeywords):
    more: int = 0


@dataclass(frozen=True)
class WiderDataclass(AsDataclass):
    more: int = 0


class WiderModel(AsModel):
    more: int = 0


@frozen
class Stranger:
    """What only looks like the class of the lens."""

    more: int
    inner: Inner
    total: int


WIDER = [(AsAttrs, WiderAttrs), (AsKeywords, WiderKeywords), (AsDataclass, WiderDataclass), (AsModel, WiderModel)]


@pytest.mark.parametrize(("kind", "wider"), WIDER, ids=lambda kind: kind.__name__)
def test_a_lens_copies_what_is_more_than_its_class_says(kind: Any, wider: Any) -> None:
    """Wholes of several classes in turn, through one lens; also inside a plan."""
    total = lens(kind, lambda r: r.total)
    plain, more, strange = kind(total=1), wider(total=1, more=5), Stranger(more=5, inner=_INNER, total=1)
    for _ in range(2):
        assert total.set(plain, 2) == kind(total=2)
        assert total.set(more, 2) == wider(total=2, more=5)
        assert total.set(strange, 2) == Stranger(more=5, inner=_INNER, total=2)
    step: Any = task(reads=total, writes=total)(abs)
    assert run(sequence(step, step), wider(total=-3, more=5)) == Success(wider(total=3, more=5))


@record_kinds
def test_an_unknown_field_is_refused_with_a_hint_in_records_of_every_kind(kind: Any) -> None:
    """A36: when the lens is built, also inside another record."""
    with pytest.raises(PlanError, match=rf"\A{kind.__name__} has no field 'toatl'; did you mean 'total'\?\Z"):
        lens(kind, lambda r: r.toatl)
    with pytest.raises(PlanError, match=r"\AInner has no field 'naemd'; did you mean 'named'\?\Z"):
        lens(kind, lambda r: r.inner.naemd)
    with pytest.raises(PlanError, match=rf"\A{kind.__name__} has no field 'zz'; it has total, inner\Z"):
        lens(kind, lambda r: r.zz)


def test_an_unknown_key_of_a_typed_dict_is_refused_with_a_hint() -> None:
    """A36: it has keys, and no fields."""
    with pytest.raises(PlanError, match=r"\AAsTypedDict has no key 'toatl'; did you mean 'total'\?\Z"):
        lens(AsTypedDict, lambda r: r["toatl"])  # type: ignore[typeddict-item]
    with pytest.raises(PlanError, match=r"\AInner has no field 'naemd'; did you mean 'named'\?\Z"):
        lens(AsTypedDict, lambda r: r["inner"].naemd)  # type: ignore[attr-defined]
    odd: Any = lens
    with pytest.raises(
        PlanError, match=r"\AAsTypedDict has no fields; reach an item with \[\.\.\.\] instead of \.total"
    ):
        odd(AsTypedDict, lambda r: r.total)
    total = lens(AsTypedDict, lambda r: r["total"])
    check_lens_laws(total, [AsTypedDict(total=n, inner=Inner()) for n in range(3)], [7, 8], max_examples=4)

"""Parts of values: lenses that obey their laws, and plans that run inside a part."""

from typing import Any, NamedTuple

import pytest
from attrs import evolve, field, frozen
from clocks import Runner, on_both
from hypothesis import given
from hypothesis import strategies as st
from rpds import HashTrieMap
from untyped import AnyPlan, arun, focus, gather, parallel, pure, run

from lambdacat import ActionFailed, Iso, Item, Lens, Prism, Success, at, each, identity, lens, task, variant
from lambdacat.state import LoggedMap


class Point(NamedTuple):
    x: int = 0
    y: int = 0


_POINT = Point(1, 2)
_TREE = HashTrieMap({"k": 1})


@frozen
class Inner:
    n: int = 0
    row: tuple[int, ...] = (1, 2, 3)
    named: Point = _POINT


@frozen(kw_only=True)
class Outer:
    inner: Inner = Inner()
    table: dict[str, Any] = field(factory=lambda: {"a": {"b": [1, 2]}, "n": 1})
    tree: "HashTrieMap[str, int]" = _TREE
    _private: int = 3
    derived: int = field(init=False, default=9)
    checked: int = field(default=1, converter=int, validator=lambda *given: None)


KEYS = {
    "texts": st.text(max_size=3),
    "numbers": st.integers(),
    "mixed": st.text(max_size=1) | st.integers() | st.none(),
}


@given(st.sampled_from(list(KEYS)).flatmap(lambda kind: st.lists(KEYS[kind], unique=True, max_size=8)), st.randoms())
def test_every_item_comes_in_the_same_order_in_each_equal_copy(keys: list[Any], dice: Any) -> None:
    """A29, R-D1: a map that hashes its keys has no order of its own, and a part is known by its place."""
    shuffled = list(keys)
    dice.shuffle(shuffled)
    for kind in (HashTrieMap, LoggedMap):
        one, two = (kind({key: repr(key) for key in row}) for row in (keys, shuffled))
        assert one == two
        seen = run(focus(each, pure(lambda part: part)) >> pure(EACH.get_all), one).unwrap()
        assert seen == EACH.get_all(two)
        assert set(seen) == set(map(repr, keys))
        numbered = EACH.set_all(one, range(len(keys)))
        assert [repr(key) for key, _ in sorted(numbered.items(), key=lambda pair: pair[1])] == list(seen)
    assert EACH.get_all(frozenset(keys)) == EACH.get_all(frozenset(shuffled))
    assert EACH.get_all(dict.fromkeys(keys, 0)) == (0,) * len(keys)
    assert EACH.get_all(tuple(keys)) == tuple(keys)


WHOLE: Any = lens(Any, lambda whole: whole)
EACH: Any = WHOLE >> each
WAYS: dict[str, Lens[Any, Any]] = {
    "whole": lens(Outer, lambda o: o),
    "attribute": lens(Outer, lambda o: o.inner),
    "nested attribute": lens(Outer, lambda o: o.inner.n),
    "key": lens(Outer, lambda o: o.table["n"]),
    "nested key": lens(Outer, lambda o: o.table["a"]["b"]),
    "index in a key": lens(Outer, lambda o: o.table["a"]["b"][1]),
    "index": lens(Outer, lambda o: o.inner.row[1]),
    "negative index": lens(Outer, lambda o: o.inner.row[-1]),
    "named tuple": lens(Outer, lambda o: o.inner.named.y),
    "index of a named tuple": lens(Outer, lambda o: o.inner.named[0]),
    "persistent map": lens(Outer, lambda o: o.tree["k"]),
    "private": lens(Outer, lambda o: o._private),
    "not of the constructor": lens(Outer, lambda o: o.derived),
    "composed": lens(Outer, lambda o: o.inner) >> lens(Inner, lambda i: i.row) >> lens(tuple[int, ...], lambda t: t[0]),
}


@pytest.mark.parametrize("way", list(WAYS))
@given(st.integers(), st.integers(), st.integers())
def test_lenses_obey_their_laws(way: str, first: int, second: int, n: int) -> None:
    """A28: get-put, put-get, put-put; the original is never mutated, and nothing else changes."""
    optic = WAYS[way]
    whole = Outer(inner=Inner(n), private=n)
    parts: list[Any] = [first, second]
    if way == "whole":
        parts = [Outer(private=first), Outer(private=second)]
    if way == "attribute":
        parts = [Inner(first), Inner(second)]
    before = repr(whole)
    one, two = parts
    assert optic.set(whole, optic.get(whole)) == whole
    assert optic.get(optic.set(whole, one)) == one
    assert optic.set(optic.set(whole, one), two) == optic.set(whole, two)
    assert optic.over(whole, lambda part: part) == whole
    assert repr(whole) == before
    for name, other in WAYS.items():
        if other.disjoint_from(optic):
            assert other.get(optic.set(whole, one)) == other.get(whole), name


def test_a_composed_lens_writes_at_the_right_depth() -> None:
    """A28."""
    made = WAYS["index in a key"].set(Outer(), 7)
    assert made.table == {"a": {"b": [1, 7]}, "n": 1}
    assert Outer().table == {"a": {"b": [1, 2]}, "n": 1}
    assert WAYS["composed"].path == (*WAYS["index"].path[:-1], Item(0))


@given(st.lists(st.integers(), max_size=5).map(tuple), st.integers())
def test_traversals_prisms_and_isos_obey_theirs(row: tuple[int, ...], n: int) -> None:
    """A28."""
    items = lens(Inner, lambda i: i.row) >> each
    whole = Inner(n, row)
    assert items.get_all(whole) == row
    assert items.over(whole, lambda k: k) == whole
    assert items.set_all(whole, [k + 1 for k in row]).row == tuple(k + 1 for k in row)
    text: Iso[int, str] = Iso("text", to=str, back=int)
    assert text.set(0, text.get(n)) == n
    assert text.reverse().get(text.get(n)) == n
    positive: Prism[int, int] = Prism("positive", preview=lambda k: k if k > 0 else None, review=lambda k: k)
    assert positive.get_all(n) == ((n,) if n > 0 else ())
    assert positive.over(n, lambda k: k + 1) == (n + 1 if n > 0 else n)
    missing = lens(Outer, lambda o: o.table) >> at("gone")
    assert missing.over(Outer(), lambda _: 1) == Outer()


@pytest.mark.parametrize(
    "optic",
    [lens(Outer, lambda o: o.table["gone"]), lens(Outer, lambda o: o.inner.row[9]), lens(Outer, lambda o: o.tree["z"])],
    ids=repr,
)
def test_a_missing_part_is_a_fault_with_its_path(optic: Any) -> None:
    """A29."""
    plans: list[AnyPlan] = [
        task(reads=optic, writes=())(lambda _: None),
        focus(optic, pure(lambda n: n)),
        focus(optic, task(lambda n: n) >> pure(lambda n: n)),
        focus(optic, parallel(pure(lambda n: n), identity)),
    ]
    for plan in plans:
        fault = run(pure(lambda o: o) >> plan, Outer()).failure()
        assert isinstance(fault, ActionFailed)
        assert isinstance(fault.error, (KeyError, IndexError))
        assert fault.at[:1] == (1,)


def test_a_fault_inside_a_part_leaves_the_whole_as_it_was() -> None:
    """A26."""
    inner = lens(Outer, lambda o: o.inner)
    n = lens(Inner, lambda i: i.n)
    start = Outer()

    def refuse(_: Any) -> Any:
        raise ValueError("no")

    inside: AnyPlan = focus(n, pure(lambda k: k + 1)) >> focus(n, task(refuse))
    plan: AnyPlan = pure(lambda o: o) >> focus(inner, inside)
    fault = run(plan, start).failure()
    assert isinstance(fault, ActionFailed)
    assert fault.at == (1, "focus", 1, "focus")
    assert fault.last == start
    assert start == Outer()
    assert run(plan | identity, start) == Success(start)
    assert "Inner" not in str(fault).splitlines()[0]


@on_both
def test_a_parallel_inside_a_part_joins_there(on: Runner) -> None:
    """A27."""
    inner = lens(Outer, lambda o: o.inner)
    both: AnyPlan = pure(lambda i: evolve(i, n=5)) & pure(lambda i: evolve(i, row=()))
    expected = Success(Outer(inner=Inner(5, ())))
    assert run(both.focus(inner), Outer()) == expected
    assert on(lambda: arun(both.focus(inner), Outer())) == expected


def test_focus_keeps_identity_sequence_and_composition() -> None:
    """A26, A28: by equality."""
    inner, n = lens(Outer, lambda o: o.inner), lens(Inner, lambda i: i.n)
    one: AnyPlan = pure(abs)
    assert focus(inner, identity) == identity
    assert focus(inner >> n, one) == focus(inner, focus(n, one))
    assert hash(focus(inner >> n, one)) == hash(focus(inner, focus(n, one)))
    assert run(focus(n, one >> one), Inner(-1)) == run(focus(n, one) >> focus(n, one), Inner(-1))


# --- what lies in what -----------------------------------------------------------------------------------------------

ANY: Any = Any
NESTED: list[list[Any]] = [
    [WHOLE, lens(ANY, lambda o: o.inner), lens(ANY, lambda o: o.inner.row), lens(ANY, lambda o: o.inner.row[1])],
    [WHOLE, lens(ANY, lambda o: o.table["a"]), lens(ANY, lambda o: o.table["a"]["b"])],
    [lens(ANY, lambda o: o.inner.row), lens(ANY, lambda o: o.inner.row) >> each],
    [lens(ANY, lambda o: o.tree), lens(ANY, lambda o: o.tree) >> at("k")],
    [lens(ANY, lambda o: o.inner) >> variant(Inner), lens(ANY, lambda o: o.inner) >> variant(Inner) >> WHOLE >> each],
]


def test_an_optic_is_a_prefix_of_those_inside_its_parts_and_of_no_others() -> None:
    """A28: a partial order, in which disjoint optics stand apart."""
    for row in NESTED:
        for outer, first in enumerate(row):
            assert [first.is_prefix_of(second) for second in row] == [inner >= outer for inner in range(len(row))]
            assert not any(first.disjoint_from(second) for second in row)
    every = [optic for row in NESTED for optic in row]
    for first in every:
        for second in every:
            if first.is_prefix_of(second):
                assert not first.disjoint_from(second)
                assert first == second or not second.is_prefix_of(first)
                assert all(first.is_prefix_of(third) for third in every if second.is_prefix_of(third))
    # A name that only begins alike is another name, and a key is no attribute.
    other: Any = lens(ANY, lambda o: o.inner_most)
    assert not NESTED[0][1].is_prefix_of(other)
    assert not lens(ANY, lambda o: o.inner).is_prefix_of(lens(ANY, lambda o: o["inner"].row))


PARTS: dict[str, Any] = {
    "lens": lens(ANY, lambda o: o.inner),
    "key": lens(ANY, lambda o: o["k"]),
    "each": each,
    "at": at("k"),
    "prism": variant(Inner),
    "iso": Iso("negative", to=lambda n: -n, back=lambda n: -n),
}


@pytest.mark.parametrize("outer", PARTS)
@pytest.mark.parametrize("inner", PARTS)
def test_a_focus_in_a_focus_is_one_focus_through_optics_of_every_kind(outer: str, inner: str) -> None:
    """A28: by ``==`` and by hash, in however many steps it was written."""
    one: AnyPlan = pure(abs)
    first, second = WHOLE >> PARTS[outer], WHOLE >> PARTS[inner]
    both = first >> second
    assert focus(both, one) == focus(first, focus(second, one))
    assert hash(focus(both, one)) == hash(focus(first, focus(second, one)))
    assert (
        focus(both >> first, one)
        == focus(first, focus(second, focus(first, one)))
        == focus(first, focus(second >> first, one))
    )
    assert focus(both, identity) == identity
    if outer != inner:
        assert focus(both, one) != focus(second >> first, one)


CONDITIONS: list[Any] = [
    lens(Inner, lambda i: i.n).where(lambda n: n > 0),
    lens(Inner, lambda i: i.n).where(lambda n: n % 2 == 0),
    lens(Inner, lambda i: i.row).where(bool),
]


@given(st.integers(-3, 3), st.booleans(), *[st.sampled_from(CONDITIONS)] * 3)
def test_conditions_are_a_boolean_algebra(n: int, filled: bool, p: Any, q: Any, r: Any) -> None:
    """A28: and read what their parts read."""
    whole = Inner(n, (1,) if filled else ())
    assert (p | q)(whole) is (p(whole) or q(whole))
    assert (p & q)(whole) is (p(whole) and q(whole))
    assert (~p)(whole) is (not p(whole))
    assert (p | (q & r))(whole) is ((p | q) & (p | r))(whole)
    assert (~(p | q))(whole) is (~p & ~q)(whole)
    assert (p | q) | r == p | (q | r)
    assert ~~p == p
    assert (p | q).places == p.places | q.places
    assert (p | q) != (p & q)
    assert repr(p | ~q) == f"({p!r} | ~{q!r})"


def test_a_variant_that_does_not_match_is_left_alone() -> None:
    """A26."""
    pick: Prism[Any, Inner] = variant(Inner)
    bump: AnyPlan = pure(lambda i: evolve(i, n=i.n + 1))
    assert run(focus(pick, bump), Inner(1)) == Success(Inner(2))
    assert run(focus(pick, bump), "other") == Success("other")
    mixed: AnyPlan = focus(lens(tuple[Any, ...], lambda t: t[0]) >> pick, bump)
    assert run(mixed, (Inner(1), Inner(1))) == Success((Inner(2), Inner(1)))


def test_results_may_be_put_elsewhere_in_order() -> None:
    """A27."""
    row = lens(Inner, lambda i: i.row)
    total = lens(Inner, lambda i: i.n)
    assert run(pure(sum).between(row, total), Inner()) == Success(Inner(6))
    assert run(pure(lambda k: -k).between(row >> each, row), Inner()) == Success(Inner(0, (-1, -2, -3)))
    assert run(gather(pure(sum), pure(len)).between(row, lens(Inner, lambda i: i.named)), Inner()) == Success(
        evolve(Inner(), named=Point(6, 3))
    )


def test_roots_that_are_equal_are_one_state() -> None:
    """A28: the class of a plain dict is made anew each time it is written."""
    a, b = lens(dict[str, int], lambda d: d["a"]), lens(dict[str, int], lambda d: d["b"])
    assert a == lens(dict[str, int], lambda d: d["a"])
    assert run(task(reads=a, writes=b)(lambda n: n + 1), {"a": 1, "b": 0}) == Success({"a": 1, "b": 2})
    assert run(pure(lambda n: n + 1).between(a, b), {"a": 1, "b": 0}) == Success({"a": 1, "b": 2})


def test_validators_and_converters_run_and_their_refusal_is_a_fault() -> None:
    """A29, R-E1."""

    def positive(_: object, __: object, value: int) -> None:
        if value <= 0:
            raise ValueError("not positive")

    @frozen
    class Checked:
        n: int = field(default=1, validator=positive, converter=int)

    _half_more: Any = lambda k: float(k) + 1  # noqa: E731
    n = lens(Checked, lambda c: c.n)
    assert run(task(reads=n, writes=n)(_half_more), Checked()) == Success(Checked(2))
    fault = run(task(reads=n, writes=n, name="drop")(lambda k: 0), Checked()).failure()
    assert isinstance(fault, ActionFailed)
    assert fault.name == "drop"
    assert isinstance(run(focus(n, pure(lambda k: 0)), Checked()).failure(), ActionFailed)

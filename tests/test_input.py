"""What a plan is given on a command line and what is printed of its result: JSON, read by the declared types."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePath
from typing import Any, NamedTuple, NewType
from uuid import UUID

import pydantic
import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st

from lambdacat import Plan, bind, gather, identity, lens, pure, task, when
from lambdacat.cli import main
from lambdacat.commands import as_declared, value_for
from lambdacat.shown import UsageError, as_json
from lambdacat.text_forms import FORMS

Cents = NewType("Cents", int)


class Opaque:
    """A class that nothing is known of."""


@frozen
class Order:
    day: date = date(2026, 1, 1)
    at: datetime | None = None
    price: Decimal = Decimal(0)
    number: UUID | None = None
    cents: Cents = Cents(0)
    seal: bytes = b""
    opt: int | None = None
    thing: Opaque = field(factory=Opaque)


STRATEGIES: dict[type, st.SearchStrategy[Any]] = {
    datetime: st.datetimes(timezones=st.sampled_from([None, UTC, timezone(timedelta(hours=5, minutes=30))])),
    date: st.dates(),
    time: st.times(),
    timedelta: st.timedeltas(min_value=timedelta(days=-999), max_value=timedelta(days=999)),
    UUID: st.uuids(),
    Decimal: st.decimals(allow_nan=False),
    Fraction: st.fractions(),
    complex: st.complex_numbers(allow_nan=False),
    bytes: st.binary(),
    Path: st.sampled_from(["a/b", ".", "/x"]).map(Path),
    PurePath: st.sampled_from(["a/b", ".", "/x"]).map(PurePath),
}


@pytest.mark.parametrize("kind", FORMS, ids=lambda kind: kind.__name__)
def test_what_is_printed_of_a_value_is_read_back_as_it(kind: type) -> None:
    @given(STRATEGIES[kind])
    def holds(value: Any) -> None:
        said = json.loads(as_json({"value": value}))["value"]
        made = as_declared(said, kind, "value")
        assert (made, type(made)) == (value, type(value))

    holds()


FITS: list[tuple[type, Any]] = [(bytes, ""), (Path, "nonsense !"), (PurePath, "nonsense !"), (Path, ""), (PurePath, "")]
WRONG: tuple[Any, ...] = ("", "nonsense !", [], {}, True, None, 1e400)
FITS += [(Decimal, 1e400), (complex, 1e400)]


@pytest.mark.parametrize(
    ("kind", "given"),
    [(kind, one) for kind in FORMS for one in WRONG if (kind, one) not in FITS],
)
def test_what_is_no_such_value_is_refused_in_one_line(kind: type, given: Any) -> None:
    with pytest.raises(UsageError) as refused:
        as_declared(given, kind, "value")
    assert str(refused.value).startswith(f"value wants {kind.__name__}, not ")
    assert "; write it as " in str(refused.value)
    assert "\n" not in str(refused.value)


DAY: Plan[Order, Order] = task(reads=lens(Order, lambda o: o.day), writes=())(print)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"day": 20260131}, "Order.day wants date, not 20260131; write it as"),
        ({"day": "31.1.2026"}, "Order.day wants date, not '31.1.2026'; write it as"),
        ({"number": "1234"}, "Order.number wants UUID or None, not '1234'"),
        ({"price": "a lot"}, "Order.price wants Decimal, not 'a lot'"),
        ({"seal": [1, 2]}, "Order.seal wants bytes, not [1, 2]"),
        ({"opt": "one"}, "Order.opt wants int or None, not 'one'"),
        ({"cents": 1.5}, "Order.cents wants int, not 1.5"),
        ({"thing": {"any": "thing"}}, "Order.thing wants Opaque, which JSON has no form for; run the plan from Python"),
    ],
)
def test_a_field_of_a_wrong_kind_is_refused_in_one_line_that_says_where(given: Any, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        value_for(DAY, json.dumps(given))
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


class Pair(NamedTuple):
    """A state that is a named tuple."""

    day: date
    opt: int | None = None


class Model(pydantic.BaseModel):
    """A state that is a model."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")
    day: date
    rows: tuple[Pair, ...] = ()
    total: int = pydantic.Field(default=0, alias="sum", ge=0)


class Loose(pydantic.BaseModel):
    """A model that takes more than it declares."""

    model_config = pydantic.ConfigDict(extra="allow")
    n: int = 0


NAMED: Plan[Pair, Pair] = task(reads=lens(Pair, lambda p: p.day), writes=())(print)
MODEL: Plan[Model, Model] = task(reads=lens(Model, lambda m: m.day), writes=())(print)
LOOSE: Plan[Loose, Loose] = task(reads=lens(Loose, lambda m: m.n), writes=())(print)
DAYS: list[tuple[Plan[Any, Any], str, Any]] = [
    (NAMED, '{"day": "2026-01-31"}', Pair(date(2026, 1, 31))),
    (NAMED, '{"day": "2026-01-31", "opt": 3}', Pair(date(2026, 1, 31), 3)),
    (NAMED, '["2026-01-31", null]', Pair(date(2026, 1, 31))),
    (MODEL, '{"day": "2026-01-31", "sum": 2}', Model(day=date(2026, 1, 31), sum=2)),
    (
        MODEL,
        '{"day": "2026-01-31", "rows": [["2026-01-31", 1]]}',
        Model(day=date(2026, 1, 31), rows=(Pair(date(2026, 1, 31), 1),)),
    ),
    (LOOSE, "{}", Loose()),
    (LOOSE, '{"n": 2, "more": [1]}', Loose.model_validate({"n": 2, "more": [1]})),
]


@pytest.mark.parametrize(("plan", "given", "expected"), DAYS)
def test_a_named_tuple_or_a_model_is_made_of_the_input_as_any_other_state_is(
    plan: Plan[Any, Any], given: str, expected: Any
) -> None:
    for text in (given, as_json(expected)):
        made = value_for(plan, text)
        assert (made, type(made)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("plan", "given", "message"),
    [
        (NAMED, None, "Pair needs 'day': give --input with it, as JSON"),
        (NAMED, '{"dy": 1}', "Pair has no field 'dy'; did you mean 'day'?"),
        (NAMED, '{"day": 3}', "Pair.day wants date, not 3"),
        (NAMED, '["2026-01-31"]', "Pair wants Pair, not ['2026-01-31']"),
        (MODEL, None, "Model.day: Field required"),
        (MODEL, '{"day": "2026-01-31", "sum": -1}', "Model.sum: Input should be greater than or equal to 0"),
        (MODEL, '{"day": "2026-01-31", "dy": 1}', "Model.dy: Extra inputs are not permitted"),
        (MODEL, '{"day": "2026-01-31", "rows": [["2026-01-31", "x"]]}', "Model.rows[0]"),
    ],
)
def test_what_does_not_fit_a_named_tuple_or_a_model_is_refused_in_one_line(
    plan: Plan[Any, Any], given: str | None, message: str
) -> None:
    with pytest.raises(UsageError) as refused:
        value_for(plan, given)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_fields_become_values_of_their_declared_types() -> None:
    text = '{"day": "2026-01-31", "at": "2026-01-31T09:30:00Z", "price": 0.1, "cents": 5, "seal": "aGVsbG8="}'
    order = value_for(DAY, text)
    assert (order.day, order.price, order.cents, order.seal) == (date(2026, 1, 31), Decimal("0.1"), 5, b"hello")
    assert order.at.utcoffset() == timedelta(0)


def test_nan_and_infinities_are_printed_as_json_has_them_and_read_again() -> None:
    text = as_json({"row": [1.0, math.inf, -math.inf, math.nan]})
    assert json.loads(text)["row"][:3] == [1.0, math.inf, -math.inf]
    assert math.isnan(as_declared(json.loads(text)["row"][3], float, "row"))


# --- no input --------------------------------------------------------------------------------------------------------


@task
def double(n: int) -> int:
    return n * 2


@task
def constant(_: object) -> int:
    return 7


WANTS: dict[str, Plan[Any, Any]] = {
    "double": double,
    "double ": double.retry(2).timeout(9) >> constant,
    "add": pure(lambda n: n + 1).named("add") | constant,
    "double  ": gather(constant, double),
    "when": when(bool, constant, constant),
    "bind double": bind(lambda n: double),
}


@pytest.mark.parametrize("name", WANTS)
def test_a_plan_that_looks_at_its_input_is_not_run_on_none(name: str) -> None:
    with pytest.raises(UsageError, match="takes an input, and there is none: give --input") as refused:
        value_for(WANTS[name], None)
    assert name.strip() in str(refused.value) or "<lambda>" in str(refused.value)


@pytest.mark.parametrize("plan", [constant, constant.retry(1) >> double, identity, pure(print), DAY], ids=str)
def test_a_plan_that_needs_none_is_run_without(plan: Plan[Any, Any]) -> None:
    assert type(value_for(plan, None)) is (Order if plan is DAY else type(None))


def test_null_is_an_input() -> None:
    assert value_for(double, "null") is None


PLANS = """
from lambdacat import task
@task
def double(n):
    return n * 2
class Odd:
    def __repr__(self):
        raise ValueError("no")
@task
def odd(_):
    return Odd()
"""


@pytest.fixture
def spec(tmp_path: Path) -> Callable[[str], str]:
    """Names of plans in a file."""
    (tmp_path / "some_plans.py").write_text(PLANS)
    return lambda name: f"{tmp_path / 'some_plans.py'}:{name}"


def test_the_command_says_what_is_missing_and_a_fault_what_was_given(
    spec: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", spec("double")]) == 2
    assert capsys.readouterr().err.startswith("lambdacat: double takes an input, and there is none: give --input")
    assert main(["run", spec("double"), "--input", "null"]) == 1
    assert "\n  input  None\n" in capsys.readouterr().err


def test_a_result_that_cannot_say_itself_is_no_traceback(
    spec: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", spec("odd")]) == 0
    assert capsys.readouterr().out == "<Odd, whose repr raised ValueError>\n"

"""The default serializer: what comes back is equal and of the same type, or is refused."""

from __future__ import annotations

import math
import sys
import threading
from collections import OrderedDict, namedtuple
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import IntEnum
from uuid import UUID
from zoneinfo import ZoneInfo

import msgpack  # type: ignore[import-untyped]  # it has no stubs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharedstate.errors import SerializationError
from sharedstate_serializers.extensions import MAX_NESTING
from sharedstate_serializers.msgpack_serializer import MAX_KEPT_BYTES, MsgpackSerializer

serializer = MsgpackSerializer()

zones = (
    st.none()
    | st.timezones()
    | st.builds(
        timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)), st.just("X")
    )
    | st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)))
)
text = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(2**70), max_value=2**70),
    st.floats(allow_nan=False),
    text,
    st.binary(),
    st.dates(),
    st.datetimes(timezones=zones),
    st.times(),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.complex_numbers(allow_nan=False),
)
hashables = st.recursive(
    scalars, lambda inner: st.tuples(inner, inner) | st.frozensets(inner), max_leaves=6
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner),
        st.tuples(inner),
        st.tuples(inner, inner),
        st.sets(hashables),
        st.frozensets(hashables),
        st.dictionaries(hashables, inner),
    ),
    max_leaves=12,
)


def trip(value: object) -> object:
    return serializer.loads(serializer.dumps(value))


def same(left: object, right: object) -> bool:
    """Equal, and of the same types all the way down."""
    if type(left) is not type(right) or left != right:
        return False
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return list(left) == list(right) and all(map(same, left.values(), right.values()))
    return True


@given(values)
def test_what_comes_back_is_equal_and_of_the_same_type(value: object) -> None:
    assert same(trip(value), value)


@given(st.datetimes(timezones=zones, allow_imaginary=False))
def test_a_datetime_keeps_its_zone_and_fold(value: datetime) -> None:
    back = trip(value)
    assert isinstance(back, datetime)
    assert back.tzinfo == value.tzinfo
    assert (back.fold, back.tzname()) == (value.fold, value.tzname())


def test_utc_comes_back_as_itself() -> None:
    back = trip(datetime(2024, 1, 1, tzinfo=UTC))
    assert isinstance(back, datetime)
    assert back.tzinfo is UTC


def test_the_second_of_two_equal_hours_stays_the_second() -> None:
    value = datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))
    back = trip(value)
    assert isinstance(back, datetime)
    assert back.utcoffset() == value.utcoffset() == timedelta(hours=1)


def test_nan_and_infinities_come_back() -> None:
    back = trip([math.nan, math.inf, -math.inf, Decimal("NaN")])
    assert isinstance(back, list)
    assert [str(each) for each in back] == ["nan", "inf", "-inf", "NaN"]


@pytest.mark.parametrize("value", [0, 1, -1, 2**63, -(10**30)])
def test_a_whole_number_is_its_decimal_text(value: int) -> None:
    assert serializer.dumps(value) == str(value).encode()
    assert trip(value) == value


def test_a_number_of_thousands_of_digits_comes_back() -> None:
    assert trip(10**5000) == 10**5000


def test_true_is_no_number() -> None:
    assert trip(True) is True


def test_bytes_of_other_kinds_come_back_as_bytes() -> None:
    assert trip([bytearray(b"a"), memoryview(b"b")]) == [b"a", b"b"]


def test_equal_sets_have_equal_bytes() -> None:
    # 0 and 8 collide in a small hash table, so that insertion order shows.
    assert serializer.dumps({0, 8}) == serializer.dumps({8, 0})


class Colour(IntEnum):
    RED = 1


class Text(str):
    """A subclass of a plain type."""


class Zone(tzinfo):
    """A time zone of somebody else's."""

    def utcoffset(self, moment: datetime | None, /) -> timedelta:
        return timedelta(0)

    def dst(self, moment: datetime | None, /) -> None:
        return None

    def tzname(self, moment: datetime | None, /) -> str:
        return "Z"


@dataclass
class Job:
    owner: str


Pair = namedtuple("Pair", "a b")
Decimal2 = type("Decimal", (Decimal,), {"__module__": "decimal"})


@pytest.mark.parametrize(
    "value",
    [
        Job("ann"),
        Colour.RED,
        Text("a"),
        Pair(1, 2),
        OrderedDict(a=1),
        datetime(2024, 1, 1, tzinfo=Zone()),
        Decimal2("1"),
        object(),
        range(3),
        len,
        Job,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_would_not_come_back_the_same_is_refused(value: object) -> None:
    with pytest.raises(SerializationError, match=r"value.*expected .*, got"):
        serializer.dumps(value)


def test_the_error_names_the_place_the_type_and_who_would_take_it() -> None:
    value = {"jobs": [1, 2, 3, (4, Job("ann"))]}
    with pytest.raises(SerializationError) as caught:
        serializer.dumps(value)
    message = str(caught.value)
    assert message.startswith("value['jobs'][3][1]: expected plain data")
    assert message.endswith("Job; serializers that take it: pickle")


def test_the_error_names_a_bad_key_and_a_bad_item_of_a_set() -> None:
    with pytest.raises(SerializationError, match=r"key Pair\(a=1, b=2\) of value: "):
        serializer.dumps({Pair(1, 2): 1})
    with pytest.raises(SerializationError, match=r"an item of value\['s'\]: "):
        serializer.dumps({"s": {Colour.RED}})


@pytest.mark.parametrize("value", ["\ud800", {"a": "\ud800"}])
def test_text_that_utf_8_cannot_carry_is_refused(value: object) -> None:
    with pytest.raises(SerializationError, match="lone surrogate"):
        serializer.dumps(value)


def test_after_a_refusal_the_serializer_works() -> None:
    with pytest.raises(SerializationError):
        serializer.dumps(["a" * 100, Job("ann")])
    assert trip(["b"]) == ["b"]


def nested(depth: int, kind: type) -> object:
    value: object = 1
    for _ in range(depth):
        value = kind([value])
    return value


@pytest.mark.parametrize("kind", [tuple, frozenset])
def test_nesting_has_a_bound_that_still_comes_back(kind: type) -> None:
    assert trip(nested(MAX_NESTING, kind)) == nested(MAX_NESTING, kind)
    with pytest.raises(SerializationError, match="deeper than"):
        serializer.dumps(nested(MAX_NESTING + 1, kind))


def test_a_list_within_itself_is_refused() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(SerializationError):
        serializer.dumps(value)


def test_a_deeply_nested_list_is_refused() -> None:
    with pytest.raises(SerializationError):
        serializer.dumps(nested(5000, list))


def bomb(depth: int) -> bytes:
    data = b"\xc0"
    for _ in range(depth):
        data = msgpack.packb(msgpack.ExtType(9, b"\x91" + data))
    return bytes(data)


HOSTILE = {
    "nothing": b"",
    "half a string": b"\xa5ab",
    "four billion items": b"\xdd\xff\xff\xff\xff",
    "four billion bytes": b"\xc6\xff\xff\xff\xff",
    "no such type": b"\xc1",
    "more than one value": b"\x01\x02",
    "a list as a key": b"\x81\x90\x01",
    "not UTF-8": b"\xa1\xff",
    "deep lists": b"\x91" * 100_000,
    "deep tuples": bomb(5_000),
    "an unknown extension": msgpack.packb(msgpack.ExtType(99, b"")),
    "a date that is none": msgpack.packb(msgpack.ExtType(2, b"2024-13-01")),
    "a decimal that is none": msgpack.packb(msgpack.ExtType(5, b"x")),
    "a UUID of one byte": msgpack.packb(msgpack.ExtType(6, b"x")),
    "an endless timedelta": msgpack.packb(
        msgpack.ExtType(4, msgpack.packb([10**18, 0, 0]))
    ),
    "a zone that is a path": msgpack.packb(
        msgpack.ExtType(1, msgpack.packb(["2024-01-01", 0, "../../etc/passwd"]))
    ),
    "a set of lists": msgpack.packb(msgpack.ExtType(7, b"\x91\x90")),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_bytes_are_one_error(data: bytes) -> None:
    with pytest.raises(SerializationError):
        serializer.loads(b"M" + data)
    with pytest.raises(SerializationError):
        serializer.decode(data)


@given(st.binary())
def test_any_bytes_are_a_value_or_one_error(data: bytes) -> None:
    with suppress(SerializationError):
        serializer.loads(b"M" + data)


def test_a_value_of_another_serializer_is_named() -> None:
    with pytest.raises(SerializationError, match="written by the serializer 'json'"):
        serializer.loads(b'J{"a":1}')
    with pytest.raises(SerializationError, match="marked b'Z'"):
        serializer.loads(b"Zzz")


def test_a_packer_of_a_large_value_is_not_kept() -> None:
    own = MsgpackSerializer()
    own.dumps(["a"])
    assert len(own._packers) == 1
    own.dumps(["a" * MAX_KEPT_BYTES])
    assert own._packers == []


def test_threads_do_not_mix_their_values() -> None:
    mixed: list[object] = []

    def work(number: int) -> None:
        value = {"n": number, "t": (number, str(number)), "d": date(2000 + number, 1, 1)}
        for _ in range(500):
            if trip(value) != value:
                mixed.append(value)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert mixed == []


def test_what_is_stored_stays_readable() -> None:
    """These bytes are in stores. If this fails, a format was changed."""
    stored = {
        b"M\xc7\x1c\x01\x93\xb32024-01-02T03:04:05\x00\x92\x93\x00\x00\x00\xc0": datetime(
            2024, 1, 2, 3, 4, 5, tzinfo=UTC
        ),
        b"M\xc7\n\x022024-01-02": date(2024, 1, 2),
        b"M\xc7\x0c\x03\x93\xa803:04:05\x00\xc0": time(3, 4, 5),
        b"M\xd6\x04\x93\x01\x02\x03": timedelta(1, 2, 3),
        b"M\xc7\x03\x051.5": Decimal("1.5"),
        b"M\xd8\x06" + bytes(16): UUID(int=0),
        b"M\xc7\x03\x07\x92\x01\x02": {1, 2},
        b"M\xd5\x08\x91\x01": frozenset({1}),
        b"M\xd5\x09\x91\x01": (1,),
        b"M\x91\xc7\x09\x0a\x01" + bytes(8): [2**64],
    }
    for data, value in stored.items():
        assert serializer.loads(data) == value

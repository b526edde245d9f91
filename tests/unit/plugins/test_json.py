"""JSON: what it takes comes back equal, and the rest is refused, with its place."""

from __future__ import annotations

from enum import IntEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharedstate.errors import SerializationError
from sharedstate_serializers.json_serializer import JsonSerializer

serializer = JsonSerializer()

text = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner) | st.dictionaries(text, inner),
)


class Colour(IntEnum):
    RED = 1


@given(values)
def test_what_comes_back_is_equal(value: object) -> None:
    back = serializer.loads(serializer.dumps(value))
    assert back == value
    assert type(back) is type(value)


def test_the_stored_form_is_json_that_others_read() -> None:
    assert serializer.dumps({"ä": [1, None]}) == 'J{"ä":[1,null]}'.encode()
    assert serializer.dumps(7) == b"7"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ((1,), r"value: expected .*, got tuple"),
        ({"a": [b"x"]}, r"value\['a'\]\[0\]: expected .*, got bytes"),
        ({1: "a"}, "key 1 of value: JSON has keys of str only, got int"),
        ([float("nan")], r"value\[0\]: JSON has no nan"),
        (float("-inf"), "value: JSON has no -inf"),
        ([Colour.RED], r"value\[0\]: expected .*Colour"),
        ("\ud800", "lone surrogate"),
        (["\ud800"], "lone surrogate"),
        pytest.param(10**5000, "value", id="thousands of digits"),
    ],
)
def test_what_would_not_come_back_equal_is_refused(value: object, message: str) -> None:
    with pytest.raises(SerializationError, match=message):
        serializer.dumps(value)


def test_a_list_within_itself_is_refused() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(SerializationError):
        serializer.dumps(value)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff", b"NaN", b"[Infinity]", b"1 2", b"[" * 100_000, b"9" * 9999],
    ids=lambda data: data[:5].decode(errors="replace"),
)
def test_hostile_bytes_are_one_error(data: bytes) -> None:
    with pytest.raises(SerializationError):
        serializer.loads(b"J" + data)


def test_a_value_of_another_serializer_is_named() -> None:
    with pytest.raises(SerializationError, match="written by the serializer 'msgpack'"):
        serializer.loads(b"M\xc0")

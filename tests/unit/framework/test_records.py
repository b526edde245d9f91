"""Records: frozen values that are quick to define."""

from __future__ import annotations

import pickle

import pytest

from sharedstate.records import EMPTY, Record


class Point(Record):
    x: int
    y: int = 0


class Named(Point):
    name: str = "p"


def test_a_record_is_made_by_position_and_by_name() -> None:
    assert (Point(1, y=2).x, Point(1, y=2).y, Point(x=3).y) == (1, 2, 0)


def test_a_derived_record_has_the_fields_of_its_base() -> None:
    assert repr(Named(1, 2, "q")) == "Named(x=1, y=2, name='q')"


def test_records_are_equal_by_content_and_type() -> None:
    assert Point(1) == Point(1, 0)
    assert Point(1) != Point(2)
    assert Point(1) != Named(1)
    assert len({Point(1), Point(1), Point(2)}) == 2


def test_a_record_is_frozen() -> None:
    point = Point(1)
    with pytest.raises(AttributeError, match="frozen"):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError, match="frozen"):
        del point.x


def test_a_record_pickles() -> None:
    assert pickle.loads(pickle.dumps(Named(1, 2, "q"))) == Named(1, 2, "q")


@pytest.mark.parametrize(
    ("values", "named", "message"),
    [
        ((), {}, "needs the field 'x'"),
        ((1, 2, 3), {}, "too many"),
        ((1,), {"x": 2}, "twice"),
        ((1,), {"z": 2}, "no field z"),
    ],
)
def test_wrong_fields_are_refused(
    values: tuple[int, ...], named: dict[str, int], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        Point(*values, **named)


def test_the_empty_mapping_cannot_be_filled() -> None:
    with pytest.raises(TypeError):
        EMPTY["a"] = 1  # type: ignore[index]

"""Checking one option: what each kind takes, as text and as a typed value."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from sharedstate.config import OptionSpec
from sharedstate.errors import ConfigError
from sharedstate.options import Given, check_option


def check(kind: str, value: object, *, is_text: bool = False, folder: str = "") -> object:
    given = Given(value, "argument", is_text=is_text, folder=folder)
    return check_option("opt", OptionSpec(kind, None, "For tests."), given)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("str", "a", "a"),
        ("int", "12", 12),
        ("float", "1.5", 1.5),
        ("bool", "Yes", True),
        ("bool", "off", False),
        ("duration", "250ms", 0.25),
        ("duration", "30s", 30.0),
        ("duration", "5m", 300.0),
        ("duration", "2h", 7200.0),
        ("duration", "1d", 86400.0),
        ("duration", "1.5", 1.5),
        ("names", "a, b,,", frozenset({"a", "b"})),
        ("secret", "s", "s"),
    ],
)
def test_text_is_read_as_its_kind(kind: str, text: str, expected: object) -> None:
    value = check(kind, text, is_text=True)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("int", 3, 3),
        ("float", 3, 3.0),
        ("bool", True, True),
        ("duration", 2, 2.0),
        ("duration", timedelta(minutes=1), 60.0),
        ("duration", "5m", 300.0),
        ("names", ["a"], frozenset({"a"})),
        ("names", {"a", "b"}, frozenset({"a", "b"})),
        ("names", "a,b", frozenset({"a", "b"})),
    ],
)
def test_typed_values_are_taken(kind: str, value: object, expected: object) -> None:
    assert check(kind, value) == expected


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("str", 3),
        ("int", "3"),
        ("int", True),
        ("int", 1.0),
        ("float", "1.0"),
        ("float", float("nan")),
        ("bool", 1),
        ("bool", "true"),
        ("duration", -1),
        ("duration", float("inf")),
        ("duration", "5 weeks"),
        ("duration", "ms"),
        ("duration", True),
        ("names", 3),
        ("names", ["a", 1]),
        ("path", 3),
        ("path", ""),
    ],
)
def test_a_value_of_another_type_is_refused(kind: str, value: object) -> None:
    with pytest.raises(ConfigError, match=r"option 'opt' \(argument\): expected"):
        check(kind, value)


@pytest.mark.parametrize(
    ("kind", "text"), [("int", "x"), ("bool", "maybe"), ("float", "x")]
)
def test_text_that_is_not_of_its_kind_is_refused(kind: str, text: str) -> None:
    with pytest.raises(ConfigError, match="expected"):
        check(kind, text, is_text=True)


def test_a_secret_of_a_wrong_type_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        check("secret", 31337)
    assert "31337" not in str(caught.value)


def test_a_relative_path_is_relative_to_where_it_was_given(tmp_path: Path) -> None:
    assert check("path", "key", folder=str(tmp_path)) == str(tmp_path / "key")
    assert check("path", Path("key")) == str(Path.cwd() / "key")
    assert check("path", "~/key") == str(Path.home() / "key")


@pytest.mark.parametrize("value", [-1, -0.5, "-1s", timedelta(seconds=-1)])
def test_a_negative_duration_is_told_so(value: object) -> None:
    with pytest.raises(ConfigError, match="expected a duration that is not negative, got"):
        check("duration", value)


def test_a_duration_beyond_all_clocks_is_told_so() -> None:
    with pytest.raises(ConfigError, match="expected a duration of at most 36600 days"):
        check("duration", "40000d")


def test_a_path_with_a_zero_character_is_none() -> None:
    with pytest.raises(ConfigError, match="expected a path"):
        check("path", "a\0b")


def test_a_minimum_holds() -> None:
    spec = OptionSpec("int", 1, "For tests.", minimum=1)
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        check_option("opt", spec, Given(0, "argument"))


def test_choices_hold_and_the_nearest_is_told() -> None:
    spec = OptionSpec("str", "a", "For tests.", choices=("always", "never"))
    with pytest.raises(ConfigError, match="did you mean 'always'"):
        check_option("opt", spec, Given("allways", "argument"))


def test_choices_hold_for_each_word_of_a_set() -> None:
    spec = OptionSpec("names", frozenset(), "For tests.", choices=("a", "b"))
    with pytest.raises(ConfigError, match="unknown value 'c'"):
        check_option("opt", spec, Given({"a", "c"}, "argument"))

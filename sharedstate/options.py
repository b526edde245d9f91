"""Checking one option: from what was given to a value of its kind.

What comes from the environment or a URL is text, and is read as its kind; what comes
from a program or a TOML file has a type already, and must have the right one: a port
that is a string there is a mistake and not a spelling.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

from sharedstate.config import nearest
from sharedstate.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate.config import OptionSpec

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

# What messages call a kind.
_EXPECTED = {
    "str": "a string",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "duration": "a duration (seconds, a timedelta, or text such as '250ms', '30s', '5m')",
    "secret": "a string",
    "path": "a path",
    "names": "a set of words, or words separated by commas",
}


class Given:
    """A value that was given for an option: where, and whether it is only text."""

    __slots__ = ("folder", "is_text", "origin", "value")

    def __init__(
        self, value: object, origin: str, *, is_text: bool = False, folder: str = ""
    ) -> None:
        self.value = value
        self.origin = origin
        self.is_text = is_text
        self.folder = folder
        """What a relative path is relative to; empty is the working folder."""


LONGEST_SECONDS = 100 * 366 * 24 * 3600.0
"""A longer duration is a mistake, and beyond what the system's clocks can count."""


def check_option(name: str, spec: OptionSpec, given: Given) -> object:
    """The value of an option. Raises `ConfigError`, without showing a secret."""
    value = _READERS[spec.kind](given)
    if value is None:
        raise ConfigError(
            f"option {name!r} ({given.origin}): expected {_EXPECTED[spec.kind]}, "
            f"got {_show(spec, given.value)}"
        )
    if spec.kind == "duration" and isinstance(value, float):
        _check_duration(name, given, value)
    if (
        spec.minimum is not None
        and isinstance(value, (int, float))
        and value < spec.minimum
    ):
        raise ConfigError(
            f"option {name!r} ({given.origin}): expected at least {spec.minimum}, "
            f"got {value!r}"
        )
    if spec.choices:
        _check_choice(name, spec, given, value)
    return value


def _check_duration(name: str, given: Given, seconds: float) -> None:
    if seconds < 0:
        expected = "a duration that is not negative"
    elif seconds > LONGEST_SECONDS:
        expected = f"a duration of at most {LONGEST_SECONDS / _UNITS['d']:.0f} days"
    else:
        return
    raise ConfigError(
        f"option {name!r} ({given.origin}): expected {expected}, got {given.value!r:.100}"
    )


def _check_choice(name: str, spec: OptionSpec, given: Given, value: object) -> None:
    for each in value if isinstance(value, frozenset) else (value,):
        if each not in spec.choices:
            raise ConfigError(
                f"option {name!r} ({given.origin}): unknown value {each!r}; "
                f"{nearest(str(each), spec.choices)}"
            )


def _show(spec: OptionSpec, value: object) -> str:
    kind = type(value).__name__
    return kind if spec.kind == "secret" else f"{value!r:.100} ({kind})"


def _read_str(given: Given) -> object:
    return given.value if isinstance(given.value, str) else None


def _read_int(given: Given) -> object:
    if given.is_text:
        try:
            return int(str(given.value))
        except ValueError:
            return None
    return given.value if type(given.value) is int else None


def _read_float(given: Given) -> object:
    value = given.value
    if isinstance(value, bool) or not (given.is_text or isinstance(value, (int, float))):
        return None
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _read_bool(given: Given) -> object:
    if given.is_text:
        word = str(given.value).lower()
        return True if word in _TRUE else False if word in _FALSE else None
    return given.value if isinstance(given.value, bool) else None


def _read_duration(given: Given) -> object:
    value: object = given.value
    if isinstance(value, str):
        seconds = _parse_duration(value.strip())
    elif hasattr(value, "total_seconds"):  # a timedelta, without importing datetime
        seconds = value.total_seconds()
    else:
        seconds = _read_float(given)
    return seconds if isinstance(seconds, float) else None


def _parse_duration(text: str) -> object:
    number = text.rstrip("mshd")
    scale = _UNITS.get(text[len(number) :] or "s")
    if scale is None:
        return None
    seconds = _read_float(Given(number, "", is_text=True))
    return seconds * scale if isinstance(seconds, float) else None


def _read_path(given: Given) -> object:
    value = given.value
    path = os.fspath(value) if isinstance(value, (str, os.PathLike)) else ""
    if not path or "\0" in path:
        return None
    return os.path.abspath(os.path.join(given.folder, os.path.expanduser(path)))


def _read_names(given: Given) -> object:
    value: object = given.value
    if isinstance(value, str):
        value = [word.strip() for word in value.split(",") if word.strip()]
    if not isinstance(value, (list, tuple, set, frozenset)):
        return None
    words = frozenset(str(each) for each in value if isinstance(each, str))
    return words if len(words) == len(set(value)) else None


_READERS: dict[str, Callable[[Given], object]] = {
    "str": _read_str,
    "int": _read_int,
    "float": _read_float,
    "bool": _read_bool,
    "duration": _read_duration,
    "secret": _read_str,
    "path": _read_path,
    "names": _read_names,
}

"""JSON, for values that people or other programs read.

JSON has few types, and Python's encoder bends others to them in silence: a tuple comes
back as a list, the key 1 as "1", an enum as its number. Every value is therefore checked
first. NaN and the infinities are refused too, which JSON does not have (RFC 8259).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sharedstate.errors import SerializationError
from sharedstate.serializers import Serializer
from sharedstate_serializers.offenders import refuse, unknown_type

if TYPE_CHECKING:
    from sharedstate_serializers.offenders import Complaint

_PLAIN = frozenset({str, int, bool, type(None)})
_INFINITIES = (float("inf"), float("-inf"))


class JsonSerializer(Serializer):
    """str, int, float, bool, None, list, and dict with keys of str."""

    name = "json"
    mark = b"J"

    def __init__(self) -> None:
        self._encode = json.JSONEncoder(
            ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
        ).encode
        self._decode = json.JSONDecoder(parse_constant=_refuse_constant).decode

    def encode(self, value: Any) -> bytes:
        """The value as compact JSON in UTF-8. Raises `SerializationError`."""
        try:
            if _comes_back_equal(value):
                return self._encode(value).encode()
            reason = "a part of it"
        except (ValueError, RecursionError) as error:
            reason = str(error)
        raise refuse(value, _complain, self.name, otherwise=reason)

    def decode(self, data: bytes) -> Any:
        """The value of JSON text. Raises `SerializationError` for what is not JSON."""
        try:
            return self._decode(data.decode())
        except (ValueError, RecursionError) as error:
            raise SerializationError(
                f"expected JSON, got {len(data)} bytes that are not: {error}"
            ) from error


def _comes_back_equal(value: Any) -> bool:
    kind = type(value)
    if kind in _PLAIN:
        return True
    if kind is float:
        return value == value and value not in _INFINITIES
    if kind is list:
        return all(map(_comes_back_equal, value))
    if kind is dict:
        return all(type(key) is str for key in value) and all(
            map(_comes_back_equal, value.values())
        )
    return False


def _complain(part: object, is_key: bool) -> Complaint:
    if is_key:
        if type(part) is str:
            return None
        return f"JSON has keys of str only, got {type(part).__name__}; use 'msgpack'"
    if type(part) is float and not _comes_back_equal(part):
        return f"JSON has no {part}; serializers that take it: msgpack, pickle"
    if type(part) is str and not _is_unicode(part):
        return "expected text that UTF-8 can carry, got a lone surrogate"
    if type(part) in (list, dict) or _comes_back_equal(part):
        return None
    return unknown_type(part, "str, int, float, bool, None, list or dict")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")

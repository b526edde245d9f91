"""What a transaction sees of a counter: its stored text, and what it has made of it.

Here is what the store does with the commands and scripts of a counter, in Python, so that
their results are known before anything is written. The text is read when something depends
on it, under watch, so that the result still is right when it is committed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sharedstate.errors import CommandError
from sharedstate.structures.arithmetic import LEAST, MOST

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate.backend import Command
    from sharedstate.structures.base import StructureContext
    from sharedstate.transaction_views.watched import Watched

_UNREAD: Any = object()
_LONGEST = 20
"""Characters of a whole number of 64 bits: a sign and 19 digits."""


class NumberImage:
    """One counter, of either kind."""

    def __init__(self, watched: Watched, context: StructureContext) -> None:
        self._watched = watched
        self._key = context.key("value")
        self.keys = (self._key,)
        """The keys of the counter on the store."""
        self._text: bytes | None = _UNREAD
        self.is_changed = False
        """Whether there is something to commit."""
        self._keeps_expiry = True

    def changes(self) -> list[Command]:
        """The commands that make the store as it is seen here."""
        if not self.is_changed or self._text is None:
            return []
        keep = ("KEEPTTL",) if self._keeps_expiry else ()
        return [("SET", self._key, self._text, *keep)]

    def _get(self) -> bytes | None:
        if self._text is _UNREAD:
            self._text = self._watched.read(("GET", self._key))
        return self._text

    def _put(self, text: bytes) -> bytes:
        self._text, self.is_changed = text, True
        return text

    def _set(self, text: bytes) -> bytes:
        self._keeps_expiry = False
        self._put(text)
        return b"OK"

    def _getset(self, text: bytes) -> bytes | None:
        before = self._get()
        self._set(text)
        return before

    def _incrby(self, amount: bytes) -> int:
        total = whole_sum(self._get() or b"0", amount)
        self._put(b"%d" % total)
        return total

    def _incrbyfloat(self, amount: bytes) -> bytes:
        from sharedstate.transaction_views.float_sums import float_sum

        return self._put(float_sum(self._get() or b"0", amount))

    def _add_within(self, amount: bytes, minimum: bytes, maximum: bytes) -> bytes | None:
        try:
            total = whole_sum(self._get() or b"0", amount)
        except CommandError as refusal:
            # Beyond 64 bits is beyond any bound on that side.
            bound = minimum if amount.startswith(b"-") else maximum
            if bound and "overflow" in str(refusal):
                return None
            raise
        if (minimum and total < int(minimum)) or (maximum and total > int(maximum)):
            return None
        return self._put(b"%d" % total)

    def _add_float_within(
        self, amount: bytes, minimum: bytes, maximum: bytes
    ) -> bytes | None:
        from sharedstate.transaction_views.float_sums import float_sum

        text = float_sum(self._get() or b"0", amount)
        total = float(text)
        if (minimum and total < float(minimum)) or (maximum and total > float(maximum)):
            return None
        return self._put(text)

    def _compare_and_set(self, expected: bytes, new: bytes) -> int:
        if (self._get() or b"0") != expected:
            return 0
        self._put(new)
        return 1

    def _compare_and_set_float(self, expected: bytes, new: bytes) -> int:
        try:
            found = float(self._get() or b"0")
        except ValueError:
            return 0
        if found != float(expected):
            return 0
        self._put(new)
        return 1

    commands: ClassVar[dict[str, Callable[..., Any]]] = {
        "GET": _get,
        "SET": _set,
        "GETSET": _getset,
        "INCRBY": _incrby,
        "INCRBYFLOAT": _incrbyfloat,
    }
    """What each command of a counter would reply now."""

    scripts: ClassVar[dict[str, Callable[..., Any]]] = {
        "counter.add_within": _add_within,
        "counter.add_float_within": _add_float_within,
        "counter.compare_and_set": _compare_and_set,
        "counter.compare_and_set_float": _compare_and_set_float,
    }
    """What each script of a counter would reply now."""


def whole_sum(stored: bytes, amount: bytes, what: str = "value") -> int:
    """The number that INCRBY or HINCRBY leaves. Raises their refusals."""
    increment = _stored_number(amount, "value")
    total = _stored_number(stored, what) + increment
    if not LEAST <= total <= MOST:
        raise CommandError("ERR increment or decrement would overflow")
    return total


def _stored_number(text: bytes, what: str) -> int:
    """A number as the store writes it; anything else is none to it: +1, 01, 1_0, -0."""
    if len(text) <= _LONGEST and text.removeprefix(b"-").isdigit():
        number = int(text)
        if b"%d" % number == text and LEAST <= number <= MOST:
            return number
    limit = "" if what == "hash value" else " or out of range"
    raise CommandError(f"ERR {what} is not an integer{limit}")

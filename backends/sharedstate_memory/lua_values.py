"""Values between Python and Lua: replies that scripts receive, results that they return.

Bytes, whole numbers and "nothing" travel as they are, and who calls here has dealt with
them. Whatever else a value can be is a tuple: None, its kind, and its content, which the
other side puts together. Only what is nested or long becomes a Lua table on this side,
at several times the price.
"""

from __future__ import annotations

from lupa.lua51 import lua_type  # type: ignore[import-untyped]

from sharedstate_memory.replies import (
    BigNumber,
    CommandFailure,
    ErrorReply,
    Members,
    Status,
    Verbatim,
    format_double,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

    # As lupa takes and gives it: bytes, int, float, bool, None, or one of its proxies of
    # Lua tables and functions, which have no types to name.
    LuaValue: TypeAlias = Any

# Kinds of values that are not plain, as running.lua and redis.lua number them.
STATUS, ERROR, LIST, TABLE, DOUBLE, MAP, SET, BOOLEAN, FAILURE = range(1, 10)
BIG_NUMBER, VERBATIM, SHORT_LIST = range(10, 13)

# Longer lists are cheaper to hand over as a table.
_LONGEST_FLAT_LIST = 64

# Shorter ones travel as they are.
_SHORT = 4

# A short list of such strings needs not ask for room.
_SMALL_BYTES = 4096

# How deep a result may be nested. Redis is stopped by its stack, at some thousands.
_DEEPEST_RESULT = 200

# And how many items it may have in all: they take some seconds, which nobody can stop.
_MOST_ITEMS = 1 << 21

_LEAST_INTEGER = -(1 << 63)

# The most room that an item of a table takes in Lua, or an empty table, or a string
# besides its bytes: what grows is allocated anew at twice its size before it is freed.
_ITEM_BYTES = 96

_TOO_DEEP = b"ERR reached lua stack limit"
_TOO_BIG = b"ERR the result has too many items"

_ONE_LINE_KINDS: dict[int, Callable[[bytes], Reply]] = {
    ERROR: ErrorReply,
    STATUS: Status,
    BIG_NUMBER: BigNumber,
}


class LuaValues:
    """Translates for the scripts of one runtime, in the protocol of their session."""

    def __init__(self, lua: Any, session: Session) -> None:
        self._table_from = lua.table_from
        self._session = session
        self._items: tuple[LuaValue, ...] = ()
        self._left = 0
        self.flatten: Callable[..., LuaValue]
        """From running.lua: a table's kind and content."""
        self.flatten_list: Callable[..., LuaValue]
        """From running.lua: the items of a list from one on."""

    def to_table(self, value: object) -> LuaValue:
        """Plain data as Lua has it: lists and dicts are tables, None is nil."""
        if isinstance(value, list):
            return self._table_from(map(self.to_table, value))
        if isinstance(value, dict):
            # Lua would raise for a key that is nil or NaN, through Python's frames.
            pairs = [(k, v) for k, v in value.items() if k is not None and k == k]
            return self._table_from({k: self.to_table(v) for k, v in pairs})
        return value

    # -- replies to Lua

    def to_answer(self, reply: Reply) -> LuaValue:
        """What `redis.call` is told of a reply that is not plain, and for which there is
        room.
        """
        if isinstance(reply, ErrorReply):
            return None, ERROR, reply.text
        if isinstance(reply, Status):
            return None, STATUS, reply
        if self._session.protocol == 3:
            return self._to_resp3_answer(reply)
        return self._to_resp2_answer(reply)

    def _to_resp2_answer(self, reply: Reply) -> LuaValue:
        if not isinstance(reply, list):
            value = self._to_resp2(reply)
            return (None, TABLE, value) if lua_type(value) else value
        items = [item if type(item) is bytes else self._to_resp2(item) for item in reply]
        if len(items) <= _SHORT:
            return None, SHORT_LIST, *items
        if len(items) > _LONGEST_FLAT_LIST:
            return None, TABLE, self._table_from(items)
        self._items = tuple(items)
        return None, LIST

    def take_list(self) -> tuple[LuaValue, ...]:
        """The items of the list that was announced."""
        items, self._items = self._items, ()
        return items

    def _to_resp2(self, reply: Reply) -> LuaValue:
        """A reply, or a part of one, as a Lua value in the shapes of RESP2."""
        if isinstance(reply, (list, set, tuple)):
            return self._table_from(map(self._to_resp2, reply))
        if isinstance(reply, dict):
            return self._to_resp2([part for pair in reply.items() for part in pair])
        if isinstance(reply, (Status, ErrorReply)):
            return self._to_line(reply)
        if isinstance(reply, float):
            return format_double(reply)
        if isinstance(reply, bytes):
            return bytes(reply)
        return int(reply) if isinstance(reply, int) else False

    def _to_resp3_answer(self, reply: Reply) -> LuaValue:
        if isinstance(reply, bool):
            return None, BOOLEAN, reply
        value = self._to_resp3(reply)
        return (None, TABLE, value) if lua_type(value) else value

    def _to_resp3(self, reply: Reply) -> LuaValue:
        """A reply, or a part of one, as a Lua value in the shapes of RESP3: what Lua has
        no type for is a table with one name.
        """
        if isinstance(reply, (list, tuple)) and not isinstance(reply, Members):
            return self._table_from(map(self._to_resp3, reply))
        if isinstance(reply, (Status, ErrorReply)):
            return self._to_line(reply)
        if isinstance(reply, float):
            return self._table_from({b"double": reply})
        if isinstance(reply, (dict, set, Members)):
            return self._to_unordered(reply)
        if isinstance(reply, Verbatim):
            text = {b"string": bytes(reply), b"format": reply.format}
            return self._table_from({b"verbatim_string": self._table_from(text)})
        return reply if isinstance(reply, (bytes, int)) else None

    def _to_unordered(self, reply: dict[Reply, Reply] | set[Reply] | Members) -> LuaValue:
        convert = self._to_resp3
        if isinstance(reply, dict):
            pairs = {convert(key): convert(value) for key, value in reply.items()}
            return self._table_from({b"map": self._table_from(pairs)})
        members = {convert(member): True for member in reply}
        return self._table_from({b"set": self._table_from(members)})

    def _to_line(self, reply: Status | ErrorReply) -> LuaValue:
        if isinstance(reply, Status):
            return self._table_from({b"ok": bytes(reply)})
        return self._table_from({b"err": reply.text})

    # -- results from Lua

    def to_reply(self, value: LuaValue, depth: int = 0) -> Reply:
        """A script's result, or a part of one, as a reply."""
        if isinstance(value, bool):
            return value if self._session.protocol == 3 else (1 if value else None)
        if isinstance(value, (bytes, int)):
            return value
        if isinstance(value, float):
            return _as_integer(value)
        if lua_type(value) != "table":
            return None
        if depth > _DEEPEST_RESULT:
            raise CommandFailure(_TOO_DEEP)
        self._require_few()
        return self.from_pieces(*self.flatten(value), depth=depth)

    def from_pieces(
        self, kind: int, content: LuaValue, *items: LuaValue, depth: int = 0
    ) -> Reply:
        """What stands in a Lua table, as running.lua flattened it."""
        if depth == 0:
            self._left = _MOST_ITEMS
        if kind == LIST:
            return self._list_from_pieces(content, items, depth + 1)
        if kind in (MAP, SET):
            return self._unordered_from(kind, content, depth + 1)
        if kind == DOUBLE:
            return float(content)
        if kind == VERBATIM:
            return _verbatim(content, items[0])
        return _ONE_LINE_KINDS[kind](content.replace(b"\r", b" ").replace(b"\n", b" "))

    def _list_from_pieces(
        self, rest: LuaValue, items: tuple[LuaValue, ...], depth: int
    ) -> list[Reply]:
        """The items of a list: these, and those of `rest` that come after them."""
        replies: list[Reply] = []
        while True:
            self._left -= len(items)
            for item in items:
                kind = type(item)
                is_plain = kind is bytes or kind is int
                replies.append(item if is_plain else self.to_reply(item, depth))
            if rest is False:
                return replies
            self._require_few()
            _, rest, *more = self.flatten_list(rest, len(replies) + 1)
            items = tuple(more)

    def _unordered_from(self, kind: int, content: LuaValue, depth: int) -> Reply:
        pairs = list(content.items())
        self._left -= len(pairs)
        self._require_few()
        keys = [self.to_reply(key, depth) for key, _ in pairs]
        if kind == SET:
            return Members(keys)
        keys = [key if isinstance(key, (bytes, int)) else None for key in keys]
        values = (self.to_reply(value, depth) for _, value in pairs)
        return dict(zip(keys, values, strict=True))

    def _require_few(self) -> None:
        """Raise the refusal of a result that has too many items so far: a table may stand
        in itself many times over.
        """
        if self._left < 0:
            raise CommandFailure(_TOO_BIG)


def short_answer(reply: Reply) -> LuaValue:
    """What `redis.call` is told of a short list of small strings, such as that of TIME, at
    a fifth of the cost of `to_answer`; None for any other reply.
    """
    if type(reply) is not list or len(reply) > _SHORT:
        return None
    for item in reply:
        if type(item) is not bytes or len(item) > _SMALL_BYTES:
            return None
    return None, SHORT_LIST, *reply


def _as_integer(number: float) -> int:
    """A Lua number as Redis returns it: without its fraction."""
    is_in_range = -(2.0**63) <= number < 2.0**63
    return int(number) if is_in_range else _LEAST_INTEGER


def _verbatim(content: bytes, form: bytes) -> Verbatim:
    text = Verbatim(content)
    text.format = form[:3].ljust(3)
    return text


def size_bytes(value: object) -> int:
    """At most so much room a reply, or whatever `to_table` takes, needs in Lua."""
    if isinstance(value, bytes):
        return _ITEM_BYTES + len(value)
    if isinstance(value, dict):
        return _ITEM_BYTES + sum(map(size_bytes, value)) + size_bytes([*value.values()])
    if isinstance(value, (list, set, tuple)):
        return _ITEM_BYTES * (1 + len(value)) + sum(map(size_bytes, value))
    return _ITEM_BYTES

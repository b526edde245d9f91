"""Values between Python and Lua: replies that scripts receive, results that they return.

Bytes, whole numbers and "nothing" travel as they are, and who calls here has dealt with
them. Whatever else a value can be is a tuple: None, its kind, and its content, which the
other side puts together. Only what is nested or long becomes a Lua table on this side,
at several times the price.
"""

from __future__ import annotations

from lupa.lua51 import lua_type  # type: ignore[import-untyped]

from sharedstate_memory.replies import (
    NULL_ARRAY,
    CommandFailure,
    ErrorReply,
    Status,
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

# Kinds of values that are not plain, as sandbox.lua and redis.lua number them.
STATUS, ERROR, LIST, TABLE, DOUBLE, MAP, SET, BOOLEAN, FAILURE = range(1, 10)

# Longer lists are cheaper to hand over as a table.
_LONGEST_FLAT_LIST = 64

# How deep a result may be nested. Redis is stopped by its stack, at some thousands.
_DEEPEST_RESULT = 200

_LEAST_INTEGER = -(1 << 63)

# The most room that an item of a table takes in Lua, or an empty table, or a string
# besides its bytes: what grows is allocated anew at twice its size before it is freed.
_ITEM_BYTES = 96

_TOO_DEEP = b"ERR reached lua stack limit"


class LuaValues:
    """Translates for the scripts of one runtime, in the protocol of their session."""

    def __init__(self, lua: Any, session: Session) -> None:
        self._table_from = lua.table_from
        self._session = session
        self.flatten: Callable[..., LuaValue]
        """From sandbox.lua: a table's kind and content."""
        self.flatten_list: Callable[..., LuaValue]
        """From sandbox.lua: the items of a list from one on."""

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
        """What `redis.call` is told of a reply that is not plain."""
        if isinstance(reply, ErrorReply):
            return None, ERROR, reply.text
        if isinstance(reply, Status):
            return None, STATUS, reply
        if self._session.protocol == 3:
            return self._to_resp3_answer(reply)
        if isinstance(reply, list) and len(reply) <= _LONGEST_FLAT_LIST:
            return None, LIST, *map(self._to_lua, reply)
        value = self._to_lua(reply)
        return (None, TABLE, value) if lua_type(value) else value

    def _to_resp3_answer(self, reply: Reply) -> LuaValue:
        if isinstance(reply, bool):
            return None, BOOLEAN, reply
        if isinstance(reply, float):
            return None, DOUBLE, reply
        if isinstance(reply, dict):
            pairs = {self._to_lua(k): self._to_lua(v) for k, v in reply.items()}
            return None, MAP, self._table_from(pairs)
        if isinstance(reply, set):
            return None, SET, self._table_from(dict.fromkeys(reply, True))
        if isinstance(reply, list):
            return None, TABLE, self._table_from(map(self._to_lua, reply))
        return None if reply is NULL_ARRAY else reply

    def _to_lua(self, reply: Reply) -> LuaValue:
        """A reply, or a part of one, as a Lua value in the shapes of RESP2."""
        kind = type(reply)
        if kind is bytes or kind is int:
            return reply
        if isinstance(reply, dict):
            reply = [part for pair in reply.items() for part in pair]
        if isinstance(reply, (list, set)):
            return self._table_from(map(self._to_lua, reply))
        if isinstance(reply, Status):
            return self._table_from({b"ok": reply})
        if isinstance(reply, ErrorReply):
            return self._table_from({b"err": reply.text})
        if isinstance(reply, float):
            return format_double(reply)
        return int(reply) if isinstance(reply, bool) else False

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
        return self.from_pieces(*self.flatten(value), depth=depth)

    def from_pieces(
        self, kind: int, content: LuaValue, *items: LuaValue, depth: int = 0
    ) -> Reply:
        """What stands in a Lua table, as sandbox.lua flattened it."""
        if kind == LIST:
            return self._list_from_pieces(content, items, depth + 1)
        if kind == MAP:
            return {
                _as_key(self.to_reply(k)): self.to_reply(v, depth + 1)
                for k, v in content.items()
            }
        if kind == SET:
            return {_as_key(self.to_reply(k)) for k in content}
        if kind == DOUBLE:
            return float(content)
        line = content.replace(b"\r", b" ").replace(b"\n", b" ")
        return ErrorReply(line) if kind == ERROR else Status(line)

    def _list_from_pieces(
        self, rest: LuaValue, items: tuple[LuaValue, ...], depth: int
    ) -> list[Reply]:
        """The items of a list: these, and those of `rest` that come after them."""
        replies: list[Reply] = []
        while True:
            for item in items:
                kind = type(item)
                is_plain = kind is bytes or kind is int
                replies.append(item if is_plain else self.to_reply(item, depth))
            if rest is False:
                return replies
            _, rest, *more = self.flatten_list(rest, len(replies) + 1)
            items = tuple(more)


def _as_integer(number: float) -> int:
    """A Lua number as Redis returns it: without its fraction."""
    is_in_range = -(2.0**63) <= number < 2.0**63
    return int(number) if is_in_range else _LEAST_INTEGER


def _as_key(reply: Reply) -> Reply:
    """A reply that can stand in a set, or for a key of a map."""
    return reply if isinstance(reply, (bytes, int)) else None


def size_bytes(value: object) -> int:
    """At most so much room a reply, or whatever `to_table` takes, needs in Lua."""
    if isinstance(value, bytes):
        return _ITEM_BYTES + len(value)
    if isinstance(value, dict):
        return _ITEM_BYTES + sum(map(size_bytes, value)) + size_bytes([*value.values()])
    if isinstance(value, (list, set, tuple)):
        return _ITEM_BYTES * (1 + len(value)) + sum(map(size_bytes, value))
    return _ITEM_BYTES

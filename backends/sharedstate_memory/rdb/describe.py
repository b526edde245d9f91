"""Describing an RDB file: what is in it, without an engine that would hold it.

The values are read, and so checked, in the same way as when they are loaded.
"""

from __future__ import annotations

from sharedstate_memory.rdb import format as form
from sharedstate_memory.rdb.values import read_at_once
from sharedstate_memory.rdb.walk import Key, Library, Walker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharedstate_memory.rdb.source import RdbSource

_TYPE_NAMES = {
    form.STRING: "string",
    form.LIST: "list",
    form.SET: "set",
    form.ZSET_TEXT: "zset",
    form.HASH: "hash",
    form.ZSET: "zset",
    form.HASH_ZIPMAP: "hash",
    form.LIST_ZIPLIST: "list",
    form.SET_INTSET: "set",
    form.ZSET_ZIPLIST: "zset",
    form.HASH_ZIPLIST: "hash",
    form.LIST_OF_ZIPLISTS: "list",
    form.HASH_LISTPACK: "hash",
    form.ZSET_LISTPACK: "zset",
    form.LIST_OF_LISTPACKS: "list",
    form.SET_LISTPACK: "set",
    form.HASH_DEADLINES: "hash",
    form.HASH_DEADLINES_LISTPACK: "hash",
}


def entries(source: RdbSource, *, checksum: bool = True) -> Iterator[Key | Library]:
    """The keys and libraries of a file, in its order, those included whose time has come.

    `source.version` and `source.aux` are those of the file, as far as it was read. Raises
    RdbError at what is damaged or not supported: what came before it is good. Lazy: one
    key at a time is in memory.
    """
    walker = Walker(source, checksum=checksum)
    walker.begin()
    while (item := read_at_once(walker.step())) is not None:
        yield item


def type_name(key: Key) -> str:
    """What TYPE would say of a key."""
    return _TYPE_NAMES[key.kind]

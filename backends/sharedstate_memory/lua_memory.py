"""The memory of a Lua runtime: how much it may hold, and whether a value fits.

It is bounded twice. A script may fill `MEMORY_LIMIT_BYTES`; Lua itself is refused more
only `HEADROOM_BYTES` later. The allocator's refusal is an ordinary error in Lua code, but
would end the process while a value is on its way from Python, so the way is only taken
with room to spare: the sandbox looks before each call, and who has a value that is bigger
than `LARGE_BYTES` asks here first.
"""

from __future__ import annotations

from sharedstate_memory.replies import CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MEMORY_LIMIT_BYTES = 128 << 20
"""How much a script may hold, the Lua code of all scripts included."""

HEADROOM_BYTES = 64 << 20
"""What is kept free beyond, for values that are on their way."""

LARGE_BYTES = 1 << 20
"""From this size on, a value asks whether there is room."""

MOST_ON_STACK = 4000
"""So many values fit on Lua's stack with certainty; it ends at 8000."""

NO_ROOM = b"ERR not enough memory: the value is too big for the script"

# Compiled, a script takes no more than so many times its size.
_COMPILED_FACTOR = 32

_CROWDED = (
    b"ERR too many scripts are loaded: they fill half of the memory of scripts;"
    b" SCRIPT FLUSH, or FUNCTION FLUSH, forgets them"
)


class LuaMemory:
    """The memory of one runtime, which is lupa's."""

    __slots__ = ("_lua",)

    def __init__(self, lua: Any) -> None:
        self._lua = lua

    def used_bytes(self) -> int:
        """What the runtime holds, garbage included."""
        return int(self._lua.get_memory_used())

    def has_room(self, size_bytes: int) -> bool:
        """Whether so much may be handed to Lua, after collecting garbage if need be."""
        if size_bytes < LARGE_BYTES:
            return True
        limit = MEMORY_LIMIT_BYTES + HEADROOM_BYTES // 2
        if self.used_bytes() + size_bytes > limit:
            self.collect()
        return self.used_bytes() + size_bytes <= limit

    def is_crowded(self) -> bool:
        """Whether scripts, which do nothing now, fill so much that they lack room."""
        if self.used_bytes() <= MEMORY_LIMIT_BYTES // 2:
            return False
        self.collect()
        return self.used_bytes() > MEMORY_LIMIT_BYTES // 2

    def require_room(self, size_bytes: int) -> None:
        """Raise the refusal of a value that does not fit."""
        if not self.has_room(size_bytes):
            raise CommandFailure(NO_ROOM)

    def require_room_for_code(self, code: bytes) -> None:
        """Raise the refusal of a script that does not fit beside the others."""
        self.require_room(_COMPILED_FACTOR * len(code))
        if self.is_crowded():
            raise CommandFailure(_CROWDED)

    def collect(self) -> None:
        """Free what nothing refers to."""
        self._lua.gccollect()

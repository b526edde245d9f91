"""The Lua runtime for what is slow in Python: checksums and compression.

LuaJIT comes with `lupa`, and compiles the loops over bytes that `checksum.lua` and
`lzf.lua` consist of: some hundred times as fast as Python. Where lupa was built without
it, `program` gives None, and its callers have another way. A runtime of its own: scripts
of clients never come near it.
"""

from __future__ import annotations

import os
from functools import cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


@cache
def program(name: str) -> Callable[..., Any] | None:
    """What the Lua file of this name returns when it is run; None without LuaJIT."""
    runtime = _runtime()
    if runtime is None:
        return None
    with open(os.path.join(os.path.dirname(__file__), f"{name}.lua"), "rb") as file:
        result: Callable[..., Any] = runtime.execute(file.read())
    return result


@cache
def _runtime() -> Any:
    try:
        from lupa.luajit21 import LuaRuntime  # type: ignore[import-untyped]
    except ImportError:
        return None
    return LuaRuntime(encoding=None, unpack_returned_tuples=True)

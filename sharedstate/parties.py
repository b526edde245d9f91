"""Those who hold and wait, as the store keeps them: from text to `Holder`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharedstate.locking import Holder

if TYPE_CHECKING:
    from collections.abc import Sequence


def read_holder(value: bytes, mode: str = "") -> Holder:
    """The holder of an owner's value: a nonce, and a description in JSON."""
    import json

    described = json.loads(value[value.index(b"{") :])
    return Holder(
        host=described["host"],
        pid=described["pid"],
        thread=described["thread"],
        since=described["since"],
        mode=mode,
    )


def read_line(shown: Sequence[bytes]) -> tuple[Holder, ...]:
    """Those who wait, from ids and entries by turns, as `show_line` of line.lua has
    them."""
    return tuple(read_holder(entry) for entry in shown[1::2] if entry)

"""Durability: what a crash may take from a folder's state, as `durability=` says it.

    level     a killed server loses   a machine without power loses
    none      nothing                 what the system had not written yet (some 30 s)
    second    at most two seconds     at most two seconds
    always    nothing                 nothing

All three keep a log of changes, written before the reply leaves; they differ in who sees
to it that the log is on the disk. What is lost is always the end, and without holes.

Used on both sides, and light: it is part of what a server needs to start.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

NONE, SECOND, ALWAYS = LEVELS = ("none", "second", "always")
"""From lax to strict."""

DEFAULT_LEVEL = SECOND

_POLICIES = {NONE: "no", SECOND: "everysec", ALWAYS: "always"}

LOG_DIRECTIVE = "appendonly"
POLICY_DIRECTIVE = "appendfsync"

KEEPING_QUESTIONS = (("CONFIG", "GET", LOG_DIRECTIVE), ("CONFIG", "GET", "save"))
"""What a server that somebody else started is asked, to know whether it keeps its data."""


def policy_of(level: str) -> str:
    """The value of the setting `appendfsync` by which a server has a level."""
    return _POLICIES[level]


def level_of(policy: str) -> str:
    """The level of a server whose `appendfsync` this is."""
    return next(level for level, each in _POLICIES.items() if each == policy)


def keeps_data(replies: Sequence[object]) -> bool:
    """Whether a server that answers so writes its data to disk by itself. A user who may
    not ask is not told, and counts on nothing.
    """
    return any(
        isinstance(reply, list) and len(reply) == 2 and reply[1] not in (b"", b"no")
        for reply in replies
    )


def is_stricter(level: str, than: str) -> bool:
    """Whether a level promises more than another one."""
    return LEVELS.index(level) > LEVELS.index(than)


def folder_directives(folder: str, level: str) -> dict[str, str]:
    """The settings of a server that keeps the state of a folder: a log, begun anew from
    a snapshot whenever it has doubled, and no snapshots beside it.
    """
    return {
        "dir": folder,
        "save": "",
        LOG_DIRECTIVE: "yes",
        "aof-use-rdb-preamble": "yes",
        POLICY_DIRECTIVE: policy_of(level),
    }

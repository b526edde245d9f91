"""Users as lines of text: `user NAME RULE …`, as a file of users and the configuration
have them.
"""

from __future__ import annotations

from sharedstate_memory.acl_rules import (
    RuleError,
    UnmatchedError,
    change_user,
    join_selectors,
)
from sharedstate_memory.acl_user import User


def read_line(line: bytes, *, all_channels: bool) -> User:
    """The user of a line. Raises ValueError, with the reason, for any other line."""
    words = line.split()
    if len(words) < 2 or words[0] != b"user":
        raise ValueError("should start with user keyword followed by the username")
    user = User(words[1])
    user.permissions.permit_all_channels(all_channels)
    try:
        change_user(user, join_selectors(words[2:]), all_channels=all_channels)
    except UnmatchedError as error:
        shown = error.word.decode("utf-8", "replace")
        raise ValueError(f"Unmatched parenthesis in selector {shown!r}") from error
    except RuleError as error:
        shown = error.word.decode("utf-8", "replace")
        reason = error.reason.decode("latin-1")
        raise ValueError(f"Error in applying operation '{shown}': {reason}") from error
    return user

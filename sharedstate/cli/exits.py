"""Exit codes: what a script may rely on, and how each error becomes one of them."""

from __future__ import annotations

from sharedstate.errors import (
    BackendError,
    ConfigError,
    CounterOverflow,
    NotSupported,
    PluginError,
)

OK = 0
FAILED = 1
USAGE = 2
UNREACHABLE = 3
NOT_FOUND = 4
INTERRUPTED = 130

TABLE = {
    OK: "done as asked",
    FAILED: "done, but not well: a result that differs, a worker that died, a refusal",
    USAGE: "wrong usage or configuration; nothing was done",
    UNREACHABLE: "the store was not reached, or did not answer",
    NOT_FOUND: "there is no such key or structure",
    INTERRUPTED: "ended by Ctrl-C",
}
"""Every code with its meaning, for `--help` and for the documentation."""


class NotFound(Exception):
    """What was asked for is not there."""


class Failed(Exception):
    """The command did its work, and what came of it is not what it should be."""


def code_for(error: BaseException) -> int:
    """The exit code that tells of an error."""
    if isinstance(error, NotFound):
        return NOT_FOUND
    if isinstance(error, ConfigError | PluginError | NotSupported | CounterOverflow):
        return USAGE
    if isinstance(error, BackendError):
        return UNREACHABLE
    return FAILED


def describe() -> str:
    """The table as text, one line a code."""
    return "\n".join(f"{code:>5}  {meaning}" for code, meaning in TABLE.items())

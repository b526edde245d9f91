"""Glob patterns, as KEYS, SCAN and PSUBSCRIBE have them, in linear time for each star.

`*` any bytes, `?` any one, `[abc]` `[a-z]` `[^a]` one of a class, `\\x` the byte x.

A pattern becomes a regular expression in which each star is followed by an atomic group:
once the text between two stars is found at its first place, no later place can do
better, so nothing is ever tried twice and a hostile pattern cannot make it explode.
Compiling costs up to ten microseconds a byte, so a pattern has a longest length.
"""

from __future__ import annotations

from sharedstate_memory.replies import CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# Compiled patterns kept; all are dropped when there are more, as `re` itself does.
_CACHE_LIMIT = 512

# Longer patterns are compiled anew each time: compiled, they take ten times their length.
_CACHED_BYTES = 1024

MAX_PATTERN_BYTES = 4 * 1024
"""The longest pattern with something special in it."""

_cache: dict[bytes, Callable[[bytes], object]] = {}

_ANY = b"."
_NONE = b"(?!)."


def compile_glob(pattern: bytes) -> Callable[[bytes], object]:
    """A function that tells (by truth) whether a name matches the pattern. Raises
    CommandFailure for one that is too long.
    """
    matcher = _cache.get(pattern)
    if matcher is None:
        matcher = _compile(pattern)
        if len(pattern) > _CACHED_BYTES:
            return matcher
        if len(_cache) >= _CACHE_LIMIT:
            _cache.clear()
        _cache[pattern] = matcher
    return matcher


def _compile(pattern: bytes) -> Callable[[bytes], object]:
    if not any(special in pattern for special in (b"*", b"?", b"[", b"\\")):
        return pattern.__eq__
    if not pattern.strip(b"*"):
        return _always
    if len(pattern) > MAX_PATTERN_BYTES:
        raise CommandFailure(b"ERR pattern is longer than %d bytes" % MAX_PATTERN_BYTES)
    import re  # here, because most programs never match a pattern

    return re.compile(_translate(pattern), re.DOTALL).match


def _always(name: bytes) -> bool:
    return True


def _translate(pattern: bytes) -> bytes:
    first, *others = _split_at_stars(pattern)
    parts = [b"".join(first)]
    if others:
        *middle, last = others
        parts += [b"(?>.*?%s)" % b"".join(tokens) for tokens in middle if tokens]
        # The text after the last star has to stand at the very end.
        parts.append(b".{%d,}+(?<=%s)" % (len(last), b"".join(last)))
    return b"".join(parts) + b"\\Z"


def _split_at_stars(pattern: bytes) -> list[list[bytes]]:
    """The pattern between its stars, as expressions that match one byte each."""
    runs: list[list[bytes]] = [[]]
    at = 0
    while at < len(pattern):
        char = pattern[at : at + 1]
        at += 1
        if char == b"*":
            runs.append([])
        elif char == b"?":
            runs[-1].append(_ANY)
        elif char == b"[":
            token, at = _read_class(pattern, at)
            runs[-1].append(token)
        else:
            if char == b"\\" and at < len(pattern):
                char = pattern[at : at + 1]
                at += 1
            runs[-1].append(_literal(char[0]))
    return runs


def _read_class(pattern: bytes, at: int) -> tuple[bytes, int]:
    """A class whose bracket was just read, and where it ends. One that is never closed
    ends with the pattern.
    """
    is_negated = pattern[at : at + 1] == b"^"
    at += is_negated
    # A range more than once is one range: no class has many, however long it is.
    ranges: dict[tuple[int, int], None] = {}
    while at < len(pattern) and pattern[at : at + 1] != b"]":
        low = high = pattern[at]
        if low == ord("\\") and at + 1 < len(pattern):
            low = high = pattern[at + 1]
            at += 1
        elif pattern[at + 1 : at + 2] == b"-" and at + 2 < len(pattern):
            low, high = sorted((low, pattern[at + 2]))
            at += 2
        ranges[low, high] = None
        at += 1
    if not ranges:
        return (_ANY if is_negated else _NONE), at + 1
    members = b"".join(_literal(low) + b"-" + _literal(high) for low, high in ranges)
    return b"[%s%s]" % (b"^" if is_negated else b"", members), at + 1


def _literal(byte: int) -> bytes:
    return b"\\x%02x" % byte

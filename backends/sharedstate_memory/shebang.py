"""The first line of a script or a library, which says what it is: `#!lua name=counters`.

Source: https://redis.io/docs/latest/develop/programmability/
"""

from __future__ import annotations

FLAGS = (
    b"no-writes",
    b"allow-oom",
    b"allow-stale",
    b"no-cluster",
    b"allow-cross-slot-keys",
)
"""What a script or function may say of itself, in the order in which it is told."""


class ShebangError(ValueError):
    """The line is no list of words: a quote is open, or a word goes on after one."""


class NoShebangError(ValueError):
    """There is no such line, or nothing after it."""


def split_shebang(body: bytes) -> tuple[bytes, list[bytes], bytes]:
    """The engine's name, the options, and the code, in which the line is blank so that
    lines keep their numbers. Raises NoShebangError and ShebangError.
    """
    head, newline, code = body.partition(b"\n")
    if not head.startswith(b"#!") or not newline:
        raise NoShebangError(body[:2])
    words = _split_words(head)
    return words[0], words[1:], b"\n" + code


def _split_words(line: bytes) -> list[bytes]:
    """The words of a line, in which quotes hold blanks together."""
    words: list[bytes] = []
    at = 0
    while at < len(line):
        if line[at : at + 1].isspace():
            at += 1
            continue
        word, at = _read_word(line, at)
        words.append(word)
    return words


def _read_word(line: bytes, at: int) -> tuple[bytes, int]:
    """The word that begins somewhere, and where it ends."""
    start = at
    while at < len(line) and not line[at : at + 1].isspace():
        quote = line[at : at + 1]
        if quote in (b'"', b"'"):
            end = line.find(quote, at + 1)
            after = line[end + 1 : end + 2]
            if end < 0 or (after and not after.isspace()):
                raise ShebangError(line)
            return line[start:at] + line[at + 1 : end], end + 1
        at += 1
    return line[start:at], at

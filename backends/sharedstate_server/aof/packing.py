"""Packing: commands become the bytes that stand in a log."""

from __future__ import annotations

from hiredis import pack_command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# The types that come with it say that it takes one word.
pack: Callable[[tuple[bytes, ...]], bytes] = pack_command  # type: ignore[assignment]
"""One command as an array of strings."""

# The headers of what is short.
_COUNTS = [b"*%d\r\n" % count for count in range(64)]
_LENGTHS = [b"$%d\r\n" % length for length in range(1024)]
_CRLF = b"\r\n"


_THREE_WORDS = b"*3\r\n%b%b\r\n%b%b\r\n%b%b\r\n"


def pack_all(commands: Sequence[Sequence[bytes]]) -> bytes:
    """Commands, one behind the other.

    A hot path: C makes one in 0.47 µs. Joined from parts that are there, those of small
    words take two thirds of it, and half if all have three words, as SET.
    """
    lengths = _LENGTHS
    try:
        return b"".join(
            [
                _THREE_WORDS % (lengths[len(a)], a, lengths[len(b)], b, lengths[len(c)], c)
                for a, b, c in commands
            ]
        )
    except (ValueError, IndexError):
        return _pack_others(commands)


def _pack_others(commands: Sequence[Sequence[bytes]]) -> bytes:
    pieces: list[bytes] = []
    counts, lengths = _COUNTS, _LENGTHS
    for argv in commands:
        start = len(pieces)
        try:
            pieces.append(counts[len(argv)])
            for word in argv:
                pieces += (lengths[len(word)], word, _CRLF)
        except IndexError:
            pieces[start:] = [pack(tuple(argv))]
    return b"".join(pieces)

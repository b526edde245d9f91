"""Requests: bytes come in, commands come out. No I/O, and nothing is done with them.

A command is an array of bulk strings, or a line that a person typed (an inline command);
the two may alternate. Bytes arrive in any portions.

    *2 CRLF  $3 CRLF  GET CRLF  $1 CRLF  k CRLF          GET k CRLF

Nearly every portion holds whole commands with words that contain no CRLF. So a portion
is split at every CRLF, in C, and the pieces are checked: each word must be as long as
the piece before it says. That costs some 0.6 µs for a command, and no check is skipped.
Whatever does not fit (a word with a CRLF in it, a command cut in two, an inline command,
an error) is read again by the careful way, which goes from mark to mark.

Invariant: what is buffered begins at the beginning of a command, and while a command is
incomplete, `_needed` bytes must be there before it is worth another look. So a big value
that comes in a thousand portions is not read a thousand times, and its size is checked
against the limits before it is waited for.

Source: https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from __future__ import annotations

from sharedstate_server.inline import split_inline
from sharedstate_server.resp import ProtocolError

MAX_WORDS = 1024 * 1024
"""The most words of one command."""

MAX_WORD_BYTES = 512 * 1024 * 1024
"""The longest word of one command."""

MAX_LINE_BYTES = 64 * 1024
"""The longest inline command, and the longest header of an array or a word."""

# The headers that nearly every command has, as they are written.
_COUNTS = {b"*%d" % count: count for count in range(1, 64)}
_LENGTHS = [b"$%d" % length for length in range(4096)]

_DIGITS = frozenset(b"0123456789")


class RequestParser:
    """The commands in a stream of bytes.

    After an `error`, which is the peer's, nothing more is parsed.
    """

    __slots__ = ("_held", "_held_bytes", "_needed", "error", "max_word_bytes", "max_words")

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._needed = 0
        self.max_words = MAX_WORDS
        self.max_word_bytes = MAX_WORD_BYTES
        self.error: ProtocolError | None = None

    def feed(self, data: bytes) -> list[list[bytes]]:
        """The commands that are complete with these bytes, in order."""
        if self._held:
            self._held.append(data)
            self._held_bytes += len(data)
            if self._held_bytes < self._needed:
                return []
            data = b"".join(self._held)
            self._held = []
        # The hot path: flat, and at the price of one split.
        pieces = data.split(b"\r\n")
        commands = []
        start, last = 0, len(pieces) - 1
        while start < last:
            count = _COUNTS.get(pieces[start])
            if count is None:
                break
            end = start + 1 + 2 * count
            words = pieces[start + 2 : end : 2]
            try:
                expected = [_LENGTHS[len(word)] for word in words]
            except IndexError:
                break
            if end > last or pieces[start + 1 : end : 2] != expected:
                break
            commands.append(words)
            start = end
        if start < last or pieces[last]:
            rest = b"\r\n".join(pieces[start:]) if start else data
            self._feed_carefully(rest, commands)
        return commands

    def _feed_carefully(self, data: bytes, commands: list[list[bytes]]) -> None:
        """Parse from mark to mark; hold what is incomplete, note what is wrong."""
        position = 0
        try:
            while position < len(data):
                start = position
                command, position = self._next(data, position)
                if command is None:
                    self._held = [data[start:]]
                    self._held_bytes = len(data) - start
                    self._needed = position - start
                    return
                if command:
                    commands.append(command)
        except ProtocolError as error:
            self.error = error

    def _next(self, data: bytes, start: int) -> tuple[list[bytes] | None, int]:
        """A command and where it ends; or None, and what there must be to go on."""
        if data[start] != 0x2A:
            return self._next_line(data, start)
        header, position = self._header(data, start)
        if header is None:
            return None, position
        count = _number(header, "multibulk length")
        if count > self.max_words:
            raise ProtocolError("invalid multibulk length")
        words: list[bytes] = []
        for _ in range(count):
            word, position = self._next_word(data, position)
            if word is None:
                return None, position
            words.append(word)
        return words, position

    def _next_word(self, data: bytes, start: int) -> tuple[bytes | None, int]:
        header, position = self._header(data, start)
        if header is None:
            return None, position
        if header[:1] != b"$":
            raise ProtocolError(f"expected '$', got '{chr(header[0]) if header else ' '}'")
        length = _number(header, "bulk length")
        if not 0 <= length <= self.max_word_bytes:
            raise ProtocolError("invalid bulk length")
        end = position + length
        if len(data) < end + 2:
            return None, end + 2
        if data[end : end + 2] != b"\r\n":
            raise ProtocolError("expected CRLF after a bulk string")
        return data[position:end], end + 2

    def _header(self, data: bytes, start: int) -> tuple[bytes | None, int]:
        """A line up to its CRLF, and where the next begins."""
        end = data.find(b"\r\n", start, start + MAX_LINE_BYTES)
        if end < 0:
            if len(data) - start >= MAX_LINE_BYTES:
                raise ProtocolError("too big mbulk count string")
            return None, len(data) + 1
        return data[start:end], end + 2

    def _next_line(self, data: bytes, start: int) -> tuple[list[bytes] | None, int]:
        """An inline command. An empty line is none, and allowed anywhere."""
        end = data.find(b"\n", start, start + MAX_LINE_BYTES)
        if end < 0:
            if len(data) - start >= MAX_LINE_BYTES:
                raise ProtocolError("too big inline request")
            return None, len(data) + 1
        return split_inline(data[start:end]), end + 1


def _number(header: bytes, what: str) -> int:
    """The number of `*3` or `$10`. Strict: digits, and a minus sign at most."""
    digits = header[2:] if header[1:2] == b"-" else header[1:]
    if not digits or len(digits) > 20 or not _DIGITS.issuperset(digits):
        raise ProtocolError(f"invalid {what}")
    return int(header[1:])

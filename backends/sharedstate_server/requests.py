"""Requests: bytes come in, commands come out. No I/O, and nothing is done with them.

A command is an array of bulk strings, or a line that a person typed (an inline command);
the two may alternate. Bytes arrive in any portions.

    *2 CRLF  $3 CRLF  GET CRLF  $1 CRLF  k CRLF          GET k CRLF

Nearly every portion holds whole commands with words that contain no CRLF. So a portion
is split at every CRLF, in C, and the pieces are checked: each word must be as long as
the piece before it says. That costs some 0.8 µs for a command, and no check is skipped.
Whatever does not fit (a word with a CRLF in it, a command cut in two, an inline command,
an error) is read again by the careful way, which goes from mark to mark.

Invariant: a byte is looked at a bounded number of times, however the portions are cut. A
command that is incomplete keeps the words it has; what is held begins at a mark, and is
not looked at before `_needed` bytes of it are there. Sizes are checked against the
limits when they are announced, before anything is waited for.

Source: https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from __future__ import annotations

from sharedstate_server.inline import split_inline
from sharedstate_server.resp import ProtocolError

MAX_WORDS = 1024 * 1024
"""The most words of one command."""

MAX_WORD_BYTES = 512 * 1024 * 1024
"""The longest word of one command, unless `RequestLimits` says otherwise."""

MAX_COMMAND_BYTES = 1024 * 1024 * 1024
"""The most bytes of all words of one command."""

MAX_LINE_BYTES = 64 * 1024
"""The longest inline command."""

MAX_STRANGER_WORDS = 10
MAX_STRANGER_BYTES = 16 * 1024
"""The limits for those who have not said who they are, as in Redis."""

# So many headers, words or lines are taken in a row: some milliseconds' worth.
STEPS_PER_FEED = 4096

# From so many held bytes on, the owner should look at what the peer is about.
UNUSUAL_BYTES = 64 * 1024

# `*1048576` is the longest header that can mean anything.
_MAX_HEADER_BYTES = 32

# The headers that nearly every command has, as they are written.
_COUNTS = {b"*%d" % count: count for count in range(1, 64)}
_LENGTHS = [b"$%d" % length for length in range(256)]
# How many pieces a command has that begins with such a header.
_STRIDES = {header: 1 + 2 * count for header, count in _COUNTS.items()}

_DIGITS = frozenset(b"0123456789")

# What a browser sends when a page makes it speak to us: a stranger's commands could
# stand in its body.
_HTTP = (b"POST", b"HOST:")


class RequestLimits:
    """What can be set: the longest word. Shared by all parsers of a server."""

    __slots__ = ("word_bytes",)

    def __init__(self) -> None:
        self.word_bytes = MAX_WORD_BYTES


class RequestParser:
    """The commands in a stream of bytes.

    After an `error`, which is the peer's, nothing more is parsed. `is_paused` says that
    there is more to parse: feed nothing, or more, to go on. It is set when there is much of
    it, and before what is an error for those only who have not said who they are, which
    the commands before it may do. `is_unusual` says that there is one or the other, or
    that much is held for a command that is not complete.
    """

    __slots__ = (
        "_held",
        "_held_bytes",
        "_is_limited",
        "_limits",
        "_missing",
        "_needed",
        "_size",
        "_words",
        "error",
        "is_paused",
        "is_unusual",
    )

    def __init__(
        self, limits: RequestLimits | None = None, *, is_limited: bool = False
    ) -> None:
        self._limits = limits or RequestLimits()
        self.is_unusual = False
        self.is_paused = False
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._needed = 0
        self._words: list[bytes] = []
        self._missing = 0
        self._size = 0
        self._is_limited = is_limited
        self.error: ProtocolError | None = None

    def lift_limits(self) -> None:
        """The peer has said who it is: it may send what everybody may."""
        self._is_limited = False

    def feed(self, data: bytes) -> list[list[bytes]]:
        """The commands that are complete with these bytes, in order."""
        if self._held or self._missing or self._is_limited or self.error is not None:
            return self._feed_more(data)
        # The hot path: flat, and at the price of one split. Commands of two to four
        # words are spelled out, which takes half the time of a comprehension.
        pieces = data.split(b"\r\n")
        try:
            if len(pieces) == 8:
                head, length, word, length_2, word_2, length_3, word_3, rest = pieces
                if (
                    head == b"*3"
                    and length == _LENGTHS[len(word)]
                    and length_2 == _LENGTHS[len(word_2)]
                    and length_3 == _LENGTHS[len(word_3)]
                    and not rest
                ):
                    return [[word, word_2, word_3]]
            elif len(pieces) == 6:
                head, length, word, length_2, word_2, rest = pieces
                if (
                    head == b"*2"
                    and length == _LENGTHS[len(word)]
                    and length_2 == _LENGTHS[len(word_2)]
                    and not rest
                ):
                    return [[word, word_2]]
            elif len(pieces) == 10:
                (
                    head,
                    length,
                    word,
                    length_2,
                    word_2,
                    length_3,
                    word_3,
                    length_4,
                    word_4,
                    rest,
                ) = pieces
                if (
                    head == b"*4"
                    and length == _LENGTHS[len(word)]
                    and length_2 == _LENGTHS[len(word_2)]
                    and length_3 == _LENGTHS[len(word_3)]
                    and length_4 == _LENGTHS[len(word_4)]
                    and not rest
                ):
                    return [[word, word_2, word_3, word_4]]
        except IndexError:
            pass  # A long word: its length is looked at below.
        return self._feed_split(pieces, data)

    def _feed_split(self, pieces: list[bytes], data: bytes) -> list[list[bytes]]:
        """Take one command of any count of words, or several that are alike."""
        stride = _STRIDES.get(pieces[0])
        last = len(pieces) - 1
        if stride is not None and not (last % stride or pieces[last]):
            if last == stride:
                words = pieces[2::2]
                if _are_lengths(pieces[1:last:2], words):
                    return [words]
            else:
                alike = _split_alike(pieces, stride)
                if alike is not None:
                    return alike
        return self._feed_pieces(pieces, data)

    def _feed_pieces(self, pieces: list[bytes], data: bytes) -> list[list[bytes]]:
        """Take commands of different counts of words, one after the other."""
        commands: list[list[bytes]] = []
        start, last = 0, len(pieces) - 1
        while start < last:
            count = _COUNTS.get(pieces[start]) or _usual_count(pieces[start])
            end = start + 1 + 2 * count
            words = pieces[start + 2 : end : 2]
            if (
                not count
                or end > last
                or not _are_lengths(pieces[start + 1 : end : 2], words)
            ):
                break
            commands.append(words)
            start = end
        if start < last or pieces[last]:
            self._feed_carefully(b"\r\n".join(pieces[start:]) if start else data, commands)
        return commands

    def _feed_more(self, data: bytes) -> list[list[bytes]]:
        """What is not the usual: something is held, or limits are tight."""
        commands: list[list[bytes]] = []
        if self.error is not None:
            return commands
        if self._held:
            self._held.append(data)
            self._held_bytes += len(data)
            self.is_unusual = self.held_bytes > UNUSUAL_BYTES
            if self._held_bytes < self._needed:
                return commands
            data = b"".join(self._held)
            self._held = []
            self.is_paused = False
        self._feed_carefully(data, commands)
        return commands

    def _feed_carefully(self, data: bytes, commands: list[list[bytes]]) -> None:
        """Parse from mark to mark; hold what is incomplete, note what is wrong."""
        position = 0
        try:
            for _ in range(STEPS_PER_FEED):
                if position == len(data):
                    break
                end = self._step(data, position)
                if end > len(data):
                    self._hold(data[position:], end - position)
                    return
                position = end
                if self._words and not self._missing:
                    commands.append(self._words)
                    self._words = []
                    self._size = 0
        except ProtocolError as error:
            if not (self._is_limited and commands):
                # Its traceback would refer to us, and to all that called us.
                self.error = error.with_traceback(None)
                self.is_unusual = True
                return
        if position < len(data):
            self._hold(data[position:], 0)
            self.is_unusual = self.is_paused = True
        else:
            self.is_unusual = self._size > UNUSUAL_BYTES

    def _hold(self, data: bytes, needed: int) -> None:
        """Keep bytes until so many of them are there."""
        self._held = [data]
        self._held_bytes = len(data)
        self._needed = needed
        self.is_unusual = self.held_bytes > UNUSUAL_BYTES

    @property
    def held_bytes(self) -> int:
        """How many bytes are held for a command that is not complete."""
        return self._size + (self._held_bytes if self._held else 0)

    def _step(self, data: bytes, start: int) -> int:
        """Take one header, word or line, and return where it ends.

        If it is not whole yet, nothing is taken, and the end lies beyond the data: where
        there is reason to look again.
        """
        if self._missing:
            return self._take_word(data, start)
        if data[start] == 0x2A:
            return self._take_count(data, start)
        return self._take_line(data, start)

    def _take_count(self, data: bytes, start: int) -> int:
        end = _header_end(data, start)
        if end <= len(data):
            count = _number(data[start : end - 2], "multibulk length")
            most = MAX_STRANGER_WORDS if self._is_limited else MAX_WORDS
            if count > most:
                raise ProtocolError(_beyond("multibulk", self._is_limited))
            # An array of none, or of less, is no command.
            self._missing = max(count, 0)
            self._size = 0
        return end

    def _take_word(self, data: bytes, start: int) -> int:
        begin = _header_end(data, start)
        if begin > len(data):
            return begin
        if data[start] != 0x24:
            raise ProtocolError(f"expected '$', got '{chr(data[start])}'")
        length = _number(data[start : begin - 2], "bulk length")
        most = MAX_STRANGER_BYTES if self._is_limited else self._limits.word_bytes
        if not 0 <= length <= most:
            raise ProtocolError(_beyond("bulk", self._is_limited and length > 0))
        if self._size + length > MAX_COMMAND_BYTES:
            raise ProtocolError("too big command")
        end = begin + length + 2
        if end <= len(data):
            if data[end - 2 : end] != b"\r\n":
                raise ProtocolError("expected CRLF after a bulk string")
            self._words.append(data[begin : end - 2])
            self._size += length
            self._missing -= 1
        return end

    def _take_line(self, data: bytes, start: int) -> int:
        """An inline command. An empty line is none, and allowed anywhere."""
        end = data.find(b"\n", start, start + MAX_LINE_BYTES) + 1
        if not end:
            if len(data) - start >= MAX_LINE_BYTES:
                raise ProtocolError("too big inline request")
            return len(data) + 1
        self._words = split_inline(data[start : end - 1])
        if self._words and self._words[0].upper() in _HTTP:
            raise ProtocolError("this is no web server: the request was not executed")
        return end


def _are_lengths(headers: list[bytes], words: list[bytes]) -> bool:
    """Whether headers such as `$3` tell the lengths of the words."""
    try:
        return headers == [_LENGTHS[len(word)] for word in words]
    except IndexError:
        return headers == [b"$%d" % len(word) for word in words]


def _split_alike(pieces: list[bytes], stride: int) -> list[list[bytes]] | None:
    """The commands of a pipeline in which all have the same count of words: column by
    column, at two thirds of the cost. None if they have not, or something is wrong.
    """
    last = len(pieces) - 1
    if pieces[0:last:stride].count(pieces[0]) * stride != last:
        return None
    columns = [pieces[place::stride] for place in range(2, stride, 2)]
    for place, column in enumerate(columns):
        if not _are_lengths(pieces[1 + 2 * place : last : stride], column):
            return None
    return list(map(list, zip(*columns, strict=True)))


def _usual_count(header: bytes) -> int:
    """The count of a longer array; 0 if the header has another form than the usual."""
    if header[:1] != b"*" or len(header) > 5 or not _DIGITS.issuperset(header[1:]):
        return 0
    return int(header[1:] or b"0")


def _header_end(data: bytes, start: int) -> int:
    """Where the line after a header begins; beyond the data if it is not whole yet."""
    end = data.find(b"\r\n", start, start + _MAX_HEADER_BYTES) + 2
    if end == 1:
        if len(data) - start >= _MAX_HEADER_BYTES:
            raise ProtocolError("too big count string")
        return len(data) + 1
    return end


def _number(header: bytes, what: str) -> int:
    """The number of `*3` or `$10`. Strict: digits, and a minus sign at most."""
    digits = header[2:] if header[1:2] == b"-" else header[1:]
    if not digits or not _DIGITS.issuperset(digits):
        raise ProtocolError(f"invalid {what}")
    return int(header[1:])


def _beyond(what: str, is_limited: bool) -> str:
    return f"unauthenticated {what} length" if is_limited else f"invalid {what} length"

"""The slow log: the commands that took long, newest first, with who sent them.

Entries are bounded in number (`slowlog-max-len`) and in size: of a command, so many words
are kept, and of a word so many bytes, each with a note of what is left out. Passwords are
blotted out.

Source: https://redis.io/docs/latest/commands/slowlog-get/
"""

from __future__ import annotations

from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

MAX_WORDS = 32
MAX_WORD_BYTES = 128
DEFAULT_LENGTH = 128

_REDACTED = b"(redacted)"

# Settings whose values are nobody's business.
_SECRET_SETTINGS = frozenset(
    (
        b"masterauth",
        b"masteruser",
        b"requirepass",
        b"tls-client-key-file-pass",
        b"tls-key-file-pass",
    )
)


class SlowLog:
    """The commands that took long. Reading begins with the newest."""

    __slots__ = ("_clock_ms", "_entries", "_next_id")

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._entries: deque[list[Reply]] = deque(maxlen=DEFAULT_LENGTH)
        self._next_id = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[list[Reply]]:
        """Entries as SLOWLOG GET answers them: number, time, microseconds, words, the
        client's address and name.
        """
        return iter(self._entries)

    def add(self, session: Session, argv: list[bytes], seconds: float) -> None:
        """Note that a command of a session took so long."""
        self._entries.appendleft(
            [
                self._next_id,
                self._clock_ms() // 1000,
                int(seconds * 1_000_000),
                shorten(redact(argv)),
                session.address or b"?:0",
                session.name,
            ]
        )
        self._next_id += 1

    def resize(self, most: int) -> None:
        """Keep at most so many entries."""
        kept = [entry for _, entry in zip(range(most), self._entries, strict=False)]
        self._entries = deque(kept, maxlen=most)

    def clear(self) -> None:
        """Forget every entry; numbers go on."""
        self._entries.clear()


def shorten(argv: list[bytes]) -> list[Reply]:
    """The words of a command, within the bounds of an entry."""
    if len(argv) <= MAX_WORDS:
        return [*map(_shorten_word, argv)]
    kept = MAX_WORDS - 1
    rest = b"... (%d more arguments)" % (len(argv) - kept)
    return [*map(_shorten_word, argv[:kept]), rest]


def _shorten_word(word: bytes) -> bytes:
    if len(word) <= MAX_WORD_BYTES:
        return word
    more = len(word) - MAX_WORD_BYTES
    return b"%b... (%d more bytes)" % (word[:MAX_WORD_BYTES], more)


def redact(argv: list[bytes]) -> list[bytes]:
    """The words of a command with every password blotted out."""
    name = argv[0].upper()
    if name == b"AUTH":
        return [argv[0], *[_REDACTED] * (len(argv) - 1)]
    if name in (b"HELLO", b"MIGRATE"):
        return _redact_after_auth(argv)
    if name == b"ACL" and argv[1:] and argv[1].upper() in (b"SETUSER", b"DRYRUN"):
        return [*argv[:2], *[_REDACTED] * (len(argv) - 2)]
    if name == b"CONFIG" and argv[1:] and argv[1].upper() == b"SET":
        return _redact_settings(argv)
    return argv


def _redact_after_auth(argv: list[bytes]) -> list[bytes]:
    shown = list(argv)
    for place, word in enumerate(argv):
        option = word.upper()
        if option in (b"AUTH", b"AUTH2"):
            takes_two = option == b"AUTH2" or argv[0].upper() == b"HELLO"
            end = min(place + (3 if takes_two else 2), len(argv))
            shown[place + 1 : end] = [_REDACTED] * (end - place - 1)
    return shown


def _redact_settings(argv: list[bytes]) -> list[bytes]:
    shown = list(argv)
    for place in range(2, len(argv) - 1, 2):
        if argv[place].lower() in _SECRET_SETTINGS:
            shown[place + 1] = _REDACTED
    return shown

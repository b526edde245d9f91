"""What a command answers: plain Python values, and the few that Python has no type for.

| Python | RESP2 | RESP3 |
| --- | --- | --- |
| `bytes` | bulk string | bulk string |
| `Status` | status line | status line |
| `Verbatim` | bulk string | verbatim string |
| `BigNumber` | bulk string | big number |
| `int` | integer | integer |
| `None` | null bulk | null |
| `NULL_ARRAY` | null array | null |
| `list` | array | array |
| `dict` | array, flat | map |
| `set`, `Members` | array | set |
| `float` | bulk string | double |
| `bool` | integer | boolean |
| `Push` | array | push |
| `Attributes` | not sent | attributes |
| `Many` | its items, one after the other | likewise |
| `ErrorReply` | error | error |

`BLOCKED` and `NO_REPLY` are not replies; they say why there is none.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

Reply: TypeAlias = object
"""Any of the values above. Who encodes one looks at its type."""


class Status(bytes):
    """A status line: bytes that travel with a `+` in front."""

    __slots__ = ()


class Verbatim(bytes):
    """Text for people, to be shown as it is: RESP3 tells it from data. Its format has
    three letters: `txt`, or `mkd` for Markdown.
    """

    format = b"txt"


class BigNumber(bytes):
    """A whole number of any size, in decimal digits."""

    __slots__ = ()


class Attributes(dict[Reply, Reply]):
    """What is told beside the reply that comes next, to those who speak RESP3."""

    __slots__ = ()


class Members(list[Reply]):
    """A set in an order: of what Python cannot hash, or whose order helps a reader."""

    __slots__ = ()


class Push(list[Reply]):
    """A message nobody asked for: of a channel, or of a subscription's change."""

    __slots__ = ()


class Many(list[Reply]):
    """Several replies to one command, to be sent one after the other."""

    __slots__ = ()


class ErrorReply:
    """A refusal. `text` starts with its code: `ERR …`, `WRONGTYPE …`, `NOAUTH …`."""

    __slots__ = ("text",)

    def __init__(self, text: bytes) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ErrorReply) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"<ErrorReply {self.text.decode('utf-8', 'replace')}>"


class Sentinel:
    """A value that is only itself."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


class CommandFailure(Exception):
    """Raised by a handler to refuse its command. `reply` is what the client gets."""

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.text = text

    @property
    def reply(self) -> ErrorReply:
        """The refusal as a reply: one line, whatever bytes its text quotes."""
        return ErrorReply(self.text.replace(b"\r", b" ").replace(b"\n", b" "))


NULL_ARRAY = Sentinel("NULL_ARRAY")
BLOCKED = Sentinel("BLOCKED")
"""The session waits; exactly one reply comes later, through its `deliver`."""
NO_REPLY = Sentinel("NO_REPLY")
"""The command answers nothing, as the client asked (CLIENT REPLY OFF)."""

OK = Status(b"OK")
OK_LOOK_AGAIN = Status(b"OK")
"""The same to the client. Its owner should look at the session: it ends, or was let in."""
PONG = Status(b"PONG")
QUEUED = Status(b"QUEUED")

WRONG_TYPE = b"WRONGTYPE Operation against a key holding the wrong kind of value"
SYNTAX_ERROR = b"ERR syntax error"
NOT_AN_INTEGER = b"ERR value is not an integer or out of range"
NOT_A_FLOAT = b"ERR value is not a valid float"
NO_SUCH_KEY = b"ERR no such key"
OUT_OF_RANGE = b"ERR index out of range"
NOT_A_NUMBER = b"ERR resulting score is not a number (NaN)"


def format_double(value: float) -> bytes:
    """A double as Redis 7.0 writes it: 17 significant digits, no point for integers."""
    return b"%.17g" % value


def as_resp2(reply: Reply) -> Reply:
    """A reply in the shapes of RESP2: only int, bytes, None, list and `ErrorReply`.

    Walks nested replies. A flat one comes back as it is.
    """
    kind = type(reply)
    if kind is bytes or kind is int or reply is None or reply is NULL_ARRAY:
        return None if reply is NULL_ARRAY else reply
    if isinstance(reply, bytes):
        return bytes(reply)
    if isinstance(reply, float):
        return format_double(reply)
    if isinstance(reply, dict):
        return [as_resp2(part) for pair in reply.items() for part in pair]
    if isinstance(reply, (list, set)):
        return [as_resp2(item) for item in reply]
    return int(reply) if isinstance(reply, bool) else reply

"""Visitors: clients that come, do something by halves, and go without a word.

Each visit is one connection and one thing that a program might be killed in the middle of:
a command that is half sent, a reply that is half read, a wait, a subscription, a
transaction, a watch. Some visitors do what others wait for, and some take part as good
clients do. Nobody says goodbye, but for those.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from random import Random

from tests.fuzz.vocabulary import pack

# No answer for so long is no answer at all.
# A reply in one piece, as far as the reader of lines is concerned.
_LONGEST_LINE = 1 << 24

_PATIENCE_SECONDS = 30.0

_BIG = b"x" * 300_000

# What SO_LINGER says to send a reset in place of an end.
_RESET = struct.pack("ii", 1, 0)


class Visitor:
    """One connection, as long as the visit takes."""

    def __init__(self, port: int, random: Random) -> None:
        self._port = port
        self.random = random

    async def visit(self) -> None:
        """Come, do one thing, and go. A server that goes first is fine: it may have had
        its reasons. Raises TimeoutError for one that does not answer.
        """
        way = self.random.choice(_WAYS)
        try:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", self._port, limit=_LONGEST_LINE
            )
        except OSError:
            return
        self.reader, self.writer = reader, writer
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await way(self)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._go()

    def _go(self) -> None:
        sock = self.writer.get_extra_info("socket")
        if sock is not None and self.random.random() < 0.3:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.writer.transport.abort()

    def say(self, *words: str | bytes) -> None:
        """Send a command."""
        self.writer.write(pack([w.encode() if isinstance(w, str) else w for w in words]))

    async def hear(self, lines: int = 1) -> None:
        """Read some lines of what is answered."""
        for _ in range(lines):
            await self.reader.readuntil(b"\r\n")

    async def dawdle(self) -> None:
        """Do nothing for a moment, as who is about to be killed."""
        await asyncio.sleep(self.random.random() * 0.2)

    def key(self) -> str:
        """One of a few keys, so that visitors meet."""
        return f"k{self.random.randrange(50)}"


async def _in_the_middle_of_a_command(visitor: Visitor) -> None:
    visitor.writer.write(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n" + b"x" * 50_000)
    await visitor.dawdle()


async def _in_the_middle_of_a_reply(visitor: Visitor) -> None:
    visitor.say("SET", "big", _BIG)
    await visitor.hear()
    for _ in range(5):
        visitor.say("GET", "big")
    await visitor.reader.readexactly(1000)


async def _in_the_middle_of_a_pipeline(visitor: Visitor) -> None:
    for number in range(500):
        visitor.say("HSET", "h" + visitor.key(), str(number), "x")
    await visitor.hear(3)


async def _while_it_waits(visitor: Visitor) -> None:
    side = visitor.random.choice(
        (
            ("BLPOP", "l" + visitor.key(), "l" + visitor.key(), "0"),
            ("BRPOP", "l" + visitor.key(), "0.05"),
            ("BLMOVE", "l" + visitor.key(), "l" + visitor.key(), "LEFT", "RIGHT", "0"),
            ("BLMPOP", "0", "1", "l" + visitor.key(), "LEFT", "COUNT", "2"),
            ("BZPOPMIN", "z" + visitor.key(), "0"),
        )
    )
    visitor.say(*side)
    visitor.say("PING")
    await visitor.dawdle()


async def _while_it_is_subscribed(visitor: Visitor) -> None:
    visitor.say("SUBSCRIBE", "news", visitor.key())
    visitor.say("PSUBSCRIBE", "k*", "?ews")
    visitor.say("SSUBSCRIBE", "shard")
    await visitor.hear(6)
    await visitor.dawdle()


async def _in_a_transaction(visitor: Visitor) -> None:
    visitor.say("MULTI")
    for _ in range(visitor.random.randrange(20)):
        visitor.say("SET", visitor.key(), "half done")
    await visitor.hear()


async def _while_it_watches(visitor: Visitor) -> None:
    visitor.say("WATCH", visitor.key(), visitor.key(), "l" + visitor.key())
    await visitor.hear()
    visitor.say("MULTI")
    visitor.say("INCR", "n")
    await visitor.dawdle()


async def _while_it_tracks(visitor: Visitor) -> None:
    visitor.say("HELLO", "3")
    visitor.say("CLIENT", "TRACKING", "ON", *visitor.random.choice(((), ("BCAST",))))
    visitor.say("GET", visitor.key())
    await visitor.dawdle()


async def _while_it_monitors(visitor: Visitor) -> None:
    visitor.say("MONITOR")
    await visitor.hear(20)


async def _without_a_word(visitor: Visitor) -> None:
    await visitor.dawdle()


async def _with_what_others_wait_for(visitor: Visitor) -> None:
    for _ in range(10):
        visitor.say("RPUSH", "l" + visitor.key(), "item")
        visitor.say("ZADD", "z" + visitor.key(), "1", "member")
        visitor.say("PUBLISH", visitor.random.choice(("news", visitor.key())), "text")
        visitor.say("SPUBLISH", "shard", "text")
    await visitor.hear(40)


async def _as_a_good_client(visitor: Visitor) -> None:
    for _ in range(visitor.random.randrange(1, 30)):
        lifetime_ms = str(visitor.random.randrange(1, 100))
        visitor.say("SET", visitor.key(), "value", "PX", lifetime_ms)
        visitor.say("INCR", "n")
        visitor.say("EVAL", "return redis.call('incr', KEYS[1])", "1", "n")
        await visitor.hear(3)
    visitor.say("QUIT")
    await visitor.hear()


_WAYS = (
    _in_the_middle_of_a_command,
    _in_the_middle_of_a_reply,
    _in_the_middle_of_a_pipeline,
    _while_it_waits,
    _while_it_waits,
    _while_it_is_subscribed,
    _in_a_transaction,
    _while_it_watches,
    _while_it_tracks,
    _while_it_monitors,
    _without_a_word,
    _with_what_others_wait_for,
    _with_what_others_wait_for,
    _as_a_good_client,
    _as_a_good_client,
)


def receive_visitors(port: int, *, at_once: int, seconds: float, seed: int) -> int:
    """Let so many visitors be there at once, one after the other, for some time. Returns
    how many there were.
    """

    async def come_and_go(number: int, end: float) -> int:
        random = Random(seed * at_once + number)
        visits = 0
        while time.monotonic() < end:
            await Visitor(port, random).visit()
            visits += 1
        return visits

    async def receive() -> int:
        end = time.monotonic() + seconds
        return sum(await asyncio.gather(*(come_and_go(n, end) for n in range(at_once))))

    return asyncio.run(receive())

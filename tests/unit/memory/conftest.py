"""An engine with a clock that stands still, and clients that talk to it directly."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from sharedstate_memory.engine import Engine
from sharedstate_memory.replies import ErrorReply

if TYPE_CHECKING:
    from collections.abc import Callable

START_MS = 1_700_000_000_000


class Clock:
    """A clock that a test moves, and that counts how often it is read."""

    def __init__(self) -> None:
        self.now_ms = START_MS
        self.reads = 0

    def __call__(self) -> int:
        self.reads += 1
        return self.now_ms

    def advance(self, milliseconds: int) -> None:
        self.now_ms += milliseconds


class Client:
    """A session, and what was delivered to it out of band."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.delivered: list[Any] = []
        self.session = engine.open_session(self.delivered.append)

    def __call__(self, line: str, *words: bytes | str | int) -> Any:
        """Execute the words of a line, and further ones that may hold blanks."""
        more = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        return self.session.execute([*line.encode().split(), *more])

    def refusal(self, line: str, *words: bytes | str | int) -> str:
        """The text of the error that a command must meet."""
        reply = self(line, *words)
        assert isinstance(reply, ErrorReply), reply
        return reply.text.decode()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def engine(clock: Clock) -> Engine:
    return Engine(clock_ms=clock, random=Random(7))


@pytest.fixture
def connect(engine: Engine) -> Callable[[], Client]:
    """Opens further clients of the engine."""
    return lambda: Client(engine)


@pytest.fixture
def stranger(clock: Clock) -> Client:
    """A client of an engine that wants a password."""
    return Client(Engine(clock_ms=clock, random=Random(7), password=b"secret"))


@pytest.fixture
def client(engine: Engine) -> Client:
    return Client(engine)


@pytest.fixture
def effects(engine: Engine) -> list[tuple[int, list[bytes]]]:
    """What the engine reports as changed, from now on."""
    noted: list[tuple[int, list[bytes]]] = []
    engine.on_effect = lambda database, argv: noted.append((database, list(argv)))
    return noted

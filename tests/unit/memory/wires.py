"""Clients whose sessions are carried by something, as a server's are by connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.memory.conftest import Client

if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine


class Wire:
    """What carries a session, without a socket: it closes the session when told to."""

    def __init__(self, client: Client, number: int) -> None:
        self.output_bytes = 0
        self.is_closed = False
        self._client = client
        self._number = number

    def facts(self) -> dict[str, int | str]:
        return {"laddr": "127.0.0.1:6379", "fd": self._number, "idle": 3, "events": "r"}

    def close_soon(self) -> None:
        self.is_closed = True
        self._client.session.closing = True

    def watch_peer(self) -> None:
        return


class WiredClient(Client):
    """A client behind a wire, at an address of its own."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.wire = Wire(self, number=self.session.id + 100)
        self.session.transport = self.wire
        self.session.address = b"127.0.0.1:%d" % (self.session.id + 5000)

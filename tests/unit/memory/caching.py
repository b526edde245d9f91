"""Clients that cache what they read, and what they are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sharedstate_memory.replies import Push

if TYPE_CHECKING:
    from tests.unit.memory.conftest import Client

Connect = Callable[[], "Client"]


def caching(connect: Connect, words: str = "") -> Client:
    """A client of RESP3 that tracks what it reads."""
    client = connect()
    client("HELLO 3")
    assert client(f"CLIENT TRACKING ON {words}") == b"OK"
    return client


def told(client: Client) -> list[Any]:
    """The keys of the messages so far (None for all of them), and forgets these."""
    pushes = [*client.delivered]
    client.delivered.clear()
    assert all(isinstance(push, Push) and push[0] == b"invalidate" for push in pushes)
    return [push[1] for push in pushes]

"""The pytest plugin: two fixtures for programs that use sharedstate.

    def test_workers_count(shared_state):
        shared_state.counter("done").add(1)

- `shared_server`: the URL of a private built-in server, one for each pytest process.
- `shared_state`: an open `State` on it with a namespace of its own, so that tests may
  run in any order and, with xdist, at the same time.

Installed with sharedstate, and so loaded by every pytest run: it imports nothing until
a test asks for a fixture.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sharedstate.state import State

_SUITES = ("_suite.py", "_races.py", "_machine.py", "_fixtures.py")

# The assertions of the shipped suites explain themselves, like those of any test file.
pytest.register_assert_rewrite(
    *(
        f"sharedstate.testing.{name.removesuffix('.py')}"
        for name in os.listdir(os.path.dirname(__file__))
        if name.endswith(_SUITES)
    )
)


def fresh_namespace() -> str:
    """A namespace that no other test uses."""
    return f"test-{os.urandom(8).hex()}"


@pytest.fixture(scope="session")
def shared_server() -> Iterator[str]:
    """The URL of a private built-in server, started for this pytest process."""
    from sharedstate import connect

    with connect("local://") as state:
        yield state.settings.url


@pytest.fixture
def shared_state(shared_server: str) -> Iterator[State]:
    """Open shared state with a fresh namespace, on the server of `shared_server`."""
    from sharedstate import connect

    with connect(shared_server, namespace=fresh_namespace()) as state:
        yield state

"""What a server that somebody else has started can do: it is asked, once.

It may be a server of ours of any version, or a Redis; and what its user may not ask, this
program does not count on.
"""

from __future__ import annotations

from sharedstate.backend import Capability
from sharedstate_server.durability import KEEPING_QUESTIONS, keeps_data
from sharedstate_server.wire import Refusal, pack_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_server.client import ServerBackend

# A session needs both of these, and redis-server has not the first.
_SESSION_QUESTIONS = (("SESSION", "LIST"), ("PING",))


def ask_what_it_can(backend: ServerBackend) -> frozenset[Capability]:
    """The capabilities that depend on the server. One round trip."""
    questions = (*KEEPING_QUESTIONS, *_SESSION_QUESTIONS)
    replies = backend.ask(pack_all(questions), len(questions))
    abilities = set()
    if keeps_data(replies[: len(KEEPING_QUESTIONS)]):
        abilities.add(Capability.PERSISTENCE)
    if not any(type(reply) is Refusal for reply in replies[len(KEEPING_QUESTIONS) :]):
        abilities.add(Capability.SESSIONS)
    return frozenset(abilities)

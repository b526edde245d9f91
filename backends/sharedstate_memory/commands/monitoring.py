"""MONITOR. The work is done in `sharedstate_memory.monitors`."""

from __future__ import annotations

from sharedstate_memory.commands.registry import command
from sharedstate_memory.monitors import monitor
from sharedstate_memory.replies import OK, CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session


@command("MONITOR")
def start_monitoring(session: Session, argv: list[bytes]) -> Reply:
    """Tell the connection of every command that is executed, from now on."""
    if not session.may_block:
        raise CommandFailure(b"ERR MONITOR isn't allowed for DENY BLOCKING client")
    monitor(session)
    return OK

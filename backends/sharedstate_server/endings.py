"""When a server ends by itself: nobody is left whom it could serve."""

from __future__ import annotations

import os

from sharedstate_server.loop import READABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_server.server import Server

# Where the system does not tell that a parent has ended.
_CHECK_SECONDS = 0.1


def end_when_idle(server: Server, seconds: float, may_end: Callable[[], bool]) -> None:
    """End when there was no client for so many seconds, and `may_end` agrees."""

    def check() -> None:
        if not server.client_count and server.idle_seconds >= seconds and may_end():
            server.log(f"no client for {seconds:g} seconds")
            server.stop()

    server.loop.every(min(1.0, max(0.05, seconds / 4)), check)


def end_with_process(server: Server, pid: int) -> None:
    """End when the process `pid`, our parent, has ended, however it did."""
    if hasattr(os, "pidfd_open"):
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            server.loop.soon(server.stop)
            return
        server.loop.watch(descriptor, READABLE, lambda mask: server.stop())

    def check() -> None:
        # An orphan gets another parent.
        if os.getppid() != pid:
            server.stop()

    # Where there is no pidfd, this is how the end is noticed; elsewhere, the first look
    # settles the race before pidfd_open.
    server.loop.soon(check)
    if not hasattr(os, "pidfd_open"):
        server.loop.every(_CHECK_SECONDS, check)

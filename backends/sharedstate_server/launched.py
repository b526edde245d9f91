"""The main program of a server that `launcher` started. Its socket is descriptor 3.

A private server keeps nothing: its data is of use to one program, and ends with it. The
server of a folder keeps its state in the folder, by a log (`durability.py`).
"""

from __future__ import annotations

import gc
import os
import socket
import sys

from sharedstate_server.endings import end_when_idle, end_with_process
from sharedstate_server.folders import SOCKET_NAME, lock_of, remove_folder
from sharedstate_server.garbage import keep_looks_short
from sharedstate_server.listening import identify, unlink_socket
from sharedstate_server.server import Server

_SOCKET_FD = 3

_STAYS = (
    "Nobody uses the folder, but the log lacks what was acknowledged: the server stays"
    " until the disk has taken it"
)


def main(arguments: list[str]) -> None:
    """`private FOLDER OWNER_PID` or `folder FOLDER LINGER_SECONDS DURABILITY`."""
    # Ctrl-C in the terminal is for the program, which ends us when it ends.
    os.setsid()
    kind, folder, argument, *rest = arguments
    listener = socket.socket(fileno=_SOCKET_FD)
    if kind == "private":
        server = _private_server(folder, int(argument))
        server.serve(listener)
    else:
        server = _folder_server(folder, *rest)
        server.serve(listener)
        _end_when_left(server, listener, folder, float(argument))
    # What exists by now stays for good, and need not be looked through at all: until now,
    # looks for garbage would have found none, and taken a tenth of the time.
    keep_looks_short()
    gc.enable()
    server.run()
    if server.failure:
        sys.exit(1)


def _private_server(folder: str, owner: int) -> Server:
    server = Server()
    end_with_process(server, owner)
    server.at_end(lambda: remove_folder(folder))
    return server


def _folder_server(folder: str, level: str) -> Server:
    """A server that loads the folder's state when it runs, and keeps it."""
    # Here, because a private server needs none of it to start.
    from sharedstate_server.directives import server_settings
    from sharedstate_server.durability import folder_directives
    from sharedstate_server.starting import follow_folder

    # What the folder holds is this user's, like the socket in it.
    os.umask(0o077)
    settings = server_settings()
    follow_folder(settings)
    for name, value in folder_directives(folder, level).items():
        settings.load(name, [value])
    return Server(settings=settings)


def _end_when_left(
    server: Server, listener: socket.socket, folder: str, linger: float
) -> None:
    """End when no program has used the folder for `linger` seconds, and all that was
    acknowledged is in the log.

    The lock of the folder is held from the decision to the end. A program that comes in
    between waits for the lock, finds no server, and starts the next one; one that came
    just before it is in the listener's queue, and is served.
    """
    lock = lock_of(folder)

    def may_end() -> bool:
        data = server.data.persistence
        # Who lost patience while it loads comes again, and is to find it further on.
        if data is not None and data.is_loading:
            return False
        try:
            if not lock.take(0.0):
                return False
        except FileNotFoundError:
            return True  # The folder has gone: nobody finds us in it.
        if server.has_waiting_clients(listener) or is_owing():
            lock.free()
            return False
        return True

    is_told = False

    def is_owing() -> bool:
        """Whether what was acknowledged is in memory only, because the disk failed."""
        nonlocal is_told
        data = server.data.persistence
        owes = data is not None and data.has_unwritten_log()
        if owes and not is_told:
            server.log(_STAYS, "warning")
        is_told = owes
        return owes

    path = os.path.join(folder, SOCKET_NAME)
    identity = identify(path)
    server.before_end(lambda: unlink_socket(path, identity))
    end_when_idle(server, linger, may_end)

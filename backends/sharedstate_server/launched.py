"""The main program of a server that `launcher` started. Its socket is descriptor 3."""

from __future__ import annotations

import gc
import os
import socket

from sharedstate_server.folders import SOCKET_NAME, lock_of, remove_folder
from sharedstate_server.garbage import keep_looks_short
from sharedstate_server.listening import identify, unlink_socket
from sharedstate_server.server import Server

_SOCKET_FD = 3


def main(arguments: list[str]) -> None:
    """`private FOLDER OWNER_PID` or `folder FOLDER LINGER_SECONDS`."""
    # Ctrl-C in the terminal is for the program, which ends us when it ends.
    os.setsid()
    kind, folder, argument = arguments
    server = Server()
    listener = socket.socket(fileno=_SOCKET_FD)
    server.serve(listener)
    if kind == "private":
        server.end_with_process(int(argument))
        server.at_end(lambda: remove_folder(folder))
    else:
        _end_when_left(server, listener, folder, float(argument))
    # What exists by now stays for good, and need not be looked through at all: until now,
    # looks for garbage would have found none, and taken a tenth of the time.
    keep_looks_short()
    gc.enable()
    server.run()


def _end_when_left(
    server: Server, listener: socket.socket, folder: str, linger: float
) -> None:
    """End when no program has used the folder for `linger` seconds.

    The lock of the folder is held from the decision to the end. A program that comes in
    between waits for the lock, finds no server, and starts the next one; one that came
    just before it is in the listener's queue, and is served.
    """
    lock = lock_of(folder)

    def may_end() -> bool:
        if not lock.take(0.0):
            return False
        if server.has_waiting_clients(listener):
            lock.free()
            return False
        return True

    path = os.path.join(folder, SOCKET_NAME)
    identity = identify(path)
    server.before_end(lambda: unlink_socket(path, identity))
    server.end_when_idle(linger, may_end)

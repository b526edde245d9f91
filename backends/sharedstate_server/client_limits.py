"""Limits of clients: who holds too much, or does nothing, has to go.

Buffers grow when a client does not read its replies, sends a command and does not end it,
or queues commands. Only clients that hold something are looked at (`Server.burdened`),
when they grow and ten times a second:

- `client-output-buffer-limit`: per class of client, a hard limit, and a soft one that may
  be exceeded for some seconds,
- `client-query-buffer-limit`: what was sent and cannot be executed yet,
- `maxmemory-clients`: what all clients hold together, what MULTI has queued included. Who
  holds the most goes first.

And some clients at a time are looked at for how long they have been silent (`timeout`),
so that ten thousand of them cost no more in a turn than a few.
"""

from __future__ import annotations

from sharedstate_memory.client_facts import gets_messages, is_monitor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from sharedstate_server.connection import Connection
    from sharedstate_server.server import Server

    OutputLimit: TypeAlias = tuple[int, int, int]

# Who has not said who they are after so long will not.
STRANGER_SECONDS = 60.0

# How many clients are looked at in one turn of the cron, at least.
_LEAST_PER_TURN = 16

# Clients that hold no more than this are not worth counting.
_NEGLIGIBLE_BYTES = 1024


class ClientLimits:
    """The limits of one server's clients, as its settings have them."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._settings = server.engine.settings
        self._round: list[Connection] = []
        for name in (
            "client-output-buffer-limit",
            "client-query-buffer-limit",
            "maxmemory-clients",
            "proto-max-bulk-len",
            "timeout",
        ):
            self._settings.on_change(name, self._review)
        self._review()

    def _review(self) -> None:
        settings = self._settings
        self._output: dict[str, OutputLimit] = settings["client-output-buffer-limit"]
        self._query_bytes: int = settings["client-query-buffer-limit"]
        self._total_bytes: int = settings["maxmemory-clients"]
        self._idle_seconds: int = settings["timeout"]
        self._server.request_limits.word_bytes = settings["proto-max-bulk-len"]

    # One client.

    def check(self, client: Connection) -> None:
        """Drop a client that holds more than its limits allow."""
        held = client.unexecuted_bytes
        if held > self._query_bytes:
            self._drop(
                client, f"{held} bytes of commands are more than {self._query_bytes}"
            )
            return
        self._check_output(client)

    def check_messages(self, client: Connection) -> None:
        """As `check`, for a client that was sent a message: it may be in the middle of
        a command of its own.
        """
        self._check_output(client)

    def _check_output(self, client: Connection) -> None:
        held = client.output_bytes
        kind = "pubsub" if gets_messages(client.session) else "normal"
        hard, soft, seconds = self._output[kind]
        since = client.is_over_since(is_over=0 < soft < held)
        if 0 < hard < held:
            self._drop(client, f"{held} bytes of output were left lying")
        elif since and self._server.loop.now - since > seconds:
            self._drop(client, f"output was left lying for {seconds} seconds")

    def _drop(self, client: Connection, reason: str) -> None:
        if client.is_closed:
            return
        self._server.log(f"client {client.session.id} was dropped: {reason}")
        client.give_up()

    # All clients.

    def cron(self, hz: int) -> None:
        """Look at those who hold something, and at some of those who are silent."""
        self._count_burdened()
        self._look_for_silence(hz)

    def _count_burdened(self) -> None:
        burdened = self._server.burdened
        total = 0
        for client in list(burdened):
            held = client.held_bytes + client.output_bytes
            if held <= _NEGLIGIBLE_BYTES:
                burdened.discard(client)
                # Of a name as long as a command may be, too much would be kept.
                session = client.session
                session.last_command = session.last_command[:_NEGLIGIBLE_BYTES]
                client.is_over_since(is_over=False)
                continue
            total += held
            self.check(client)
        self._server.engine.client_bytes = total
        if 0 < self._total_bytes < total:
            self._evict(total - self._total_bytes)

    def _evict(self, excess_bytes: int) -> None:
        """Drop the clients that hold the most, until the others hold little enough."""
        clients = [
            client for client in self._server.burdened if not client.session.no_evict
        ]
        clients.sort(key=lambda client: client.held_bytes + client.output_bytes)
        while clients and excess_bytes > 0:
            client = clients.pop()
            excess_bytes -= client.held_bytes + client.output_bytes
            self._server.engine.statistics.clients_evicted += 1
            self._drop(client, "all clients together hold too much, and it the most")

    def _look_for_silence(self, hz: int) -> None:
        """Look at a share of the clients: everybody's turn comes once a second."""
        if not self._round:
            self._round = self._server.clients()
        share = max(_LEAST_PER_TURN, len(self._round) // hz + 1)
        now = self._server.loop.now
        for client in self._round[-share:]:
            silent = now - client.active_at
            session = client.session
            if session.transaction is not None or session.bound is not None:
                # It grows by commands that are small, each by itself.
                self._server.burdened.add(client)
            if not session.authenticated and silent > STRANGER_SECONDS:
                self._drop(client, f"it did not say who it is for {STRANGER_SECONDS:g} s")
            elif 0 < self._idle_seconds < silent and not _may_be_silent(client):
                self._drop(client, f"it was silent for {self._idle_seconds} seconds")
        del self._round[-share:]


def _may_be_silent(client: Connection) -> bool:
    """Whether a client waits for something that comes from us, or is only to be there."""
    session = client.session
    return bool(
        session.wait is not None
        or session.is_subscribed
        or session.bound is not None
        or is_monitor(session)
    )

"""What is known of a client: its line in CLIENT LIST, and its class.

Sockets and buffers are its connection's to tell (`Session.transport`); a session without
one has none.
"""

from __future__ import annotations

from sharedstate.commands import COMMANDS, subcommands

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from sharedstate_memory.session import Session

    Facts: TypeAlias = dict[str, int | str]

# What is told of the socket and the buffers of a session that has none.
_NO_CONNECTION: Facts = {
    "laddr": "",
    "fd": -1,
    "idle": 0,
    "qbuf": 0,
    "qbuf-free": 0,
    "argv-mem": 0,
    "rbs": 0,
    "rbp": 0,
    "obl": 0,
    "oll": 0,
    "omem": 0,
    "tot-mem": 0,
    "events": "",
}


def is_monitor(session: Session) -> bool:
    """Whether a session is told of every command."""
    monitors = session.engine.monitors
    return monitors is not None and session in monitors


def gets_messages(session: Session) -> bool:
    """Whether a session is sent what it does not ask for, so that it can be left lying:
    messages of channels, keys that have changed, the commands of others.
    """
    return session.is_subscribed or session.tracking is not None or is_monitor(session)


def class_of(session: Session) -> bytes:
    """The class of a client, as CLIENT LIST and KILL select by it."""
    return b"pubsub" if session.is_subscribed else b"normal"


def describe(session: Session) -> bytes:
    """A session as one line of CLIENT LIST, without its end."""
    told = _NO_CONNECTION
    if session.transport is not None:
        told = told | session.transport.facts()
    return f"{_who(session, told)} {_what(session, told)} {_how(session)}".encode("latin-1")


def _who(session: Session, told: Facts) -> str:
    age_s = max(session.engine.now_ms - session.opened_at_ms, 0) // 1000
    return (
        f"id={session.id} addr={_text(session.address)} laddr={told['laddr']}"
        f" fd={told['fd']} name={_text(session.name)} age={age_s} idle={told['idle']}"
        f" flags={_flags(session)} db={session.db.index} sub={len(session.channels)}"
        f" psub={len(session.patterns)} ssub={len(session.shard_channels)}"
    )


def _what(session: Session, told: Facts) -> str:
    queued, queued_bytes = -1, 0
    if session.transaction is not None:
        queued = len(session.transaction.commands)
        queued_bytes = session.transaction.size_bytes
    return (
        f"multi={queued} qbuf={told['qbuf']} qbuf-free={told['qbuf-free']}"
        f" argv-mem={told['argv-mem']} multi-mem={queued_bytes} rbs={told['rbs']}"
        f" rbp={told['rbp']} obl={told['obl']} oll={told['oll']} omem={told['omem']}"
        f" tot-mem={told['tot-mem']} events={told['events']}"
    )


def _how(session: Session) -> str:
    redirect = -1 if session.tracking is None else session.tracking.redirect
    return (
        f"cmd={_command_name(session.last_command)}"
        f" user={_text(session.user.name)} redir={redirect} resp={session.protocol}"
        f" lib-name={_text(session.library_name)} lib-ver={_text(session.library_version)}"
    )


def _command_name(name: bytes) -> str:
    """The name of a command. What is none could be any text, and look like other facts."""
    upper = _text(name).upper()
    return upper.lower() if upper in COMMANDS or upper in subcommands() else "NULL"


def _text(name: bytes) -> str:
    return name.decode("latin-1")


def _flags(session: Session) -> str:
    tracking = session.tracking
    facts = {
        "O": is_monitor(session),
        "P": session.is_subscribed,
        "x": session.transaction is not None,
        "b": session.wait is not None,
        "t": tracking is not None,
        "R": tracking is not None and tracking.is_broken,
        "B": tracking is not None and tracking.is_broadcast,
        "d": session.watch_broken,
        "c": session.closing,
        "U": session.address.startswith(b"/"),
        "e": session.no_evict,
        "T": session.no_touch,
    }
    return "".join(flag for flag, is_set in facts.items() if is_set) or "N"

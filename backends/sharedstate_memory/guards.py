"""Guards: what stands between a command and its session's state, when something does.

Most of what could forbid or change a command is rarely so: nobody watches with MONITOR,
every user may do everything, memory is not limited, the data is loaded and the disk takes
what is written. So nothing is asked on the way of a usual command. Whoever makes one of
these facts true has the sessions look again (`Engine.review_sessions`, `Session.review`),
and from then on a guard is in front:

    bounded   memory is limited: room is made before each command
    careful   everything is asked, in the order in which Redis asks

A guard refuses a command with an error, or hands it to the state.
"""

from __future__ import annotations

from sharedstate_memory.commands.registry import resolve_fully
from sharedstate_memory.replies import QUEUED, CommandFailure, ErrorReply, Many

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate.commands import CommandSpec
    from sharedstate_memory.commands.registry import Handler
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

_ABORTED = b"EXECABORT Transaction discarded because of: "
_LOADING = b"LOADING Redis is loading the dataset in memory"
_OUT_OF_MEMORY = b"OOM command not allowed when used memory > 'maxmemory'."


def guard_of(session: Session) -> Handler | None:
    """The guard that a session needs now; None if its state can do without."""
    if session.wait is not None or session.id == 0:
        return None
    if (
        session.engine.is_watchful
        or session.tracking is not None
        or session.no_touch
        or (session.protocol == 3 and session.is_subscribed)
        or not session.user.is_unrestricted
    ):
        return careful
    return bounded if session.engine.eviction.is_limited else None


def bounded(session: Session, argv: list[bytes]) -> Reply:
    """Make room if memory is short; refuse what would need more if there is none."""
    engine = session.engine
    if engine.used_bytes <= engine.eviction.limit_bytes:
        return session.state(session, argv)
    try:
        _require_room(session, resolve_fully(argv)[3])
        reply = session.state(session, argv)
    except CommandFailure as failure:
        reply = _refuse(session, argv, failure)
    if engine.pending:
        # Keys were evicted, and the command was refused or queued: no unit has ended.
        engine.settle(session.db.index, [])
    return reply


def careful(session: Session, argv: list[bytes]) -> Reply:
    """Ask everything there is to ask before a command, and do what follows one."""
    engine = session.engine
    if session.transport is not None and not session.muting and _hears_itself(session):
        reply = _execute_before_messages(session, argv)
    else:
        reply = _ask_and_execute(session, argv)
    if engine.pause is not None:
        engine.pause.end_if_over(engine.now_ms)
    if engine.pending:
        # What was asked took the time, which must not stand still until the next unit.
        engine.settle(session.db.index, [])
    return reply


def _hears_itself(session: Session) -> bool:
    """Whether a command may make messages to its own client."""
    monitors = session.engine.monitors
    return session.protocol == 3 or (monitors is not None and session in monitors)


def _execute_before_messages(session: Session, argv: list[bytes]) -> Reply:
    """Execute a command, and let what it makes come as messages to its own client come
    after its reply: a client that caches must not drop what it has yet to read.
    """
    deliver = session.deliver
    messages: list[Reply] = []
    session.deliver = messages.append
    try:
        reply = _ask_and_execute(session, argv)
    finally:
        session.deliver = deliver
    if not messages:
        return reply
    if session.wait is None:
        return Many([reply, *messages])
    for message in messages:
        deliver(message)
    return reply


def _ask_and_execute(session: Session, argv: list[bytes]) -> Reply:
    engine = session.engine
    try:
        spec = resolve_fully(argv)[3]
        if not session.authenticated and "no_auth" not in spec.flags:
            return session.state(session, argv)
        _require_permission(session, spec, argv)
        if engine.monitors is not None:
            engine.monitors.check(session, spec)
        _require_room(session, spec)
        if engine.write_refusal or engine.is_loading:
            _require_disk(session, spec)
    except CommandFailure as failure:
        return _refuse(session, argv, failure)
    if engine.pause is not None and engine.pause.holds_back(session, spec, argv):
        return engine.pause.postpone(session, argv)
    monitors = engine.monitors
    if monitors is None:
        return _execute(session, spec, argv)
    monitors.feed_before(session, spec, argv)
    reply = _execute(session, spec, argv)
    if reply is not QUEUED:
        monitors.feed_after(session, spec, argv)
    return reply


def _execute(session: Session, spec: CommandSpec, argv: list[bytes]) -> Reply:
    """Hand a command to the state; let a session that tracks remember what it read."""
    is_untouched = session.no_touch and spec.name != "TOUCH"
    state = _without_touching if is_untouched else session.state
    tracking = session.engine.tracking
    if session.tracking is None or tracking is None:
        return state(session, argv)
    return tracking.execute(session, spec, argv, state)


def _without_touching(session: Session, argv: list[bytes]) -> Reply:
    """Let a command that only looks leave no trace in the access clocks."""
    engine = session.engine
    if engine.eviction.clock is not None:
        # All of them: a transaction may select others.
        for db in engine.databases:
            db.clock = None
    try:
        return session.state(session, argv)
    finally:
        # The command may have changed the policy.
        for db in engine.databases:
            db.clock = engine.eviction.clock


def _require_permission(session: Session, spec: CommandSpec, argv: list[bytes]) -> None:
    """Raise the refusal if a script is in the way, or the user may not do this."""
    engine = session.engine
    if engine.busy is not None and "allow_busy" not in spec.flags:
        raise CommandFailure(engine.busy.refusal)
    user = session.user
    if not user.is_unrestricted:
        refusal = user.refusal(session, spec, argv)
        if refusal is not None:
            raise CommandFailure(refusal)


def _require_room(session: Session, spec: CommandSpec) -> None:
    """Raise the refusal if memory is short, stays so, and the command would add to it."""
    if session.engine.make_room():
        return
    transaction = session.transaction
    is_growing = "denyoom" in spec.flags
    if spec.name == "EXEC" and transaction is not None:
        is_growing = transaction.is_growing
    if is_growing:
        raise CommandFailure(_OUT_OF_MEMORY)


def _require_disk(session: Session, spec: CommandSpec) -> None:
    """Raise the refusal of a write that could not be kept on disk, and of what needs the
    data while that is being loaded.
    """
    engine = session.engine
    transaction = session.transaction
    specs = [spec]
    if spec.name == "EXEC" and transaction is not None:
        specs += [each for _, _, each in transaction.commands]
    # PING too: who watches over servers is to see it.
    if engine.write_refusal and any(each.is_write or each.name == "PING" for each in specs):
        raise CommandFailure(engine.write_refusal)
    if engine.is_loading and any("loading" not in each.flags for each in specs):
        raise CommandFailure(_LOADING)


def _refuse(session: Session, argv: list[bytes], failure: CommandFailure) -> ErrorReply:
    """Refuse a command, and with it the transaction that it was to be part of."""
    if session.transaction is not None:
        session.transaction.refuse(session, argv)
    if argv[0].upper() == b"EXEC" and not failure.text.startswith(b"EXECABORT"):
        failure = CommandFailure(_ABORTED + failure.text)
    return session.engine.note_rejection(argv, failure)

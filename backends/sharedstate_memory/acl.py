"""Users: who may log in to an engine, and what comes of a change of what they may do.

There is always the user `default`: whoever connects is it, unless it needs a password.
As long as nobody changes that, it may do everything, and users cost nothing.

    AUTH ── right ──► the session's user              a change of rules ──► guards anew,
         └─ wrong ──► the log, and a late reply        lost channels: connection closed

Refusals are logged here too, for a user knows no engine.

Invariant: a session's user is one of these. Who is deleted, or replaced by loading, may
do nothing any more, and the sessions are closed.
"""

from __future__ import annotations

from sharedstate_memory.acl_user import User
from sharedstate_memory.blocking import NOT_SERVED
from sharedstate_memory.replies import CommandFailure, ErrorReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Protocol

    from sharedstate_memory.acl_delays import LoginDelays
    from sharedstate_memory.acl_log import AccessLog
    from sharedstate_memory.acl_permissions import Denial
    from sharedstate_memory.engine import Engine
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

    class AclFile(Protocol):
        """Where users are kept while no engine runs. An owner that has files has one."""

        path: str

        def load(self) -> list[bytes]:
            """The lines. Raises `OSError`."""

        def save(self, lines: Sequence[bytes]) -> None:
            """Replace all lines, or none. Raises `OSError`."""


DEFAULT = b"default"

_WRONG_PASSWORD = b"WRONGPASS invalid username-password pair or user is disabled."

# So much of a name that somebody tried goes into the server's log.
_SHOWN_NAME_BYTES = 64

_COUNTED_AS = {"auth": "auth", "command": "cmd", "key": "key", "channel": "channel"}

_NOTHING_CHANGED = (
    "WARNING: ACL errors detected, no change to the previously active ACL rules was"
    " performed"
)


class UserLinesError(ValueError):
    """Lines that do not describe users. Its text says which, and why; nothing changed."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__(" ".join([*errors, _NOTHING_CHANGED]))
        self.errors = errors


class Users:
    """The users of one engine."""

    __slots__ = ("_by_name", "_delays", "_engine", "_log", "default")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._log: AccessLog | None = None
        self._delays: LoginDelays | None = None
        self.default = User(DEFAULT)
        self.default.permit_everything()
        self._by_name = {DEFAULT: self.default}
        self.take_password()

    # -- asking

    def get(self, name: bytes) -> User | None:
        """The user of a name."""
        return self._by_name.get(name)

    def names(self) -> list[bytes]:
        """The names of all users, in order."""
        return sorted(self._by_name)

    def lines(self) -> list[bytes]:
        """A line for each user, from which it can be made again."""
        return [self._by_name[name].describe() for name in self.names()]

    # -- logging in

    def log_in(self, session: Session, name: bytes, password: bytes) -> bool:
        """Let a session be a user from now on. False, and nothing else, if the user is
        unknown or off, or the password is wrong.
        """
        from sharedstate_memory.acl_rules import digest_of

        # The password is hashed for an unknown user too: that takes the same time.
        digest = digest_of(password)
        user = self._by_name.get(name)
        if user is None or not user.accepts(digest):
            return False
        self._set_user(session, user, authenticated=True)
        return True

    def log_out(self, session: Session) -> None:
        """Let a session be what it was when it was opened."""
        self._set_user(session, self.default, authenticated=self.default.is_open)

    def turn_away(self, session: Session, name: bytes, command: bytes) -> Reply:
        """The reply to a login that failed, by AUTH or HELLO. It comes late if somebody
        is there to send it; until then the client is not listened to.
        """
        from sharedstate_memory.acl_delays import LoginDelays, delay_ms

        engine = self._engine
        context = "toplevel" if session.may_block else "multi"
        self._note(session, "auth", context, (command, name))
        if self._delays is None:
            self._delays = LoginDelays()
        count = self._delays.note(session.address.rpartition(b":")[0], engine.now_ms)
        self._warn_of_guessing(session, name, count)
        if session.transport is None or not session.may_block:
            raise CommandFailure(_WRONG_PASSWORD)
        engine.statistics.errors[b"WRONGPASS"] += 1
        return engine.waits.block(
            session,
            (),
            _never,
            null=ErrorReply(_WRONG_PASSWORD),
            timeout_ms=delay_ms(count),
        )

    def _set_user(self, session: Session, user: User, *, authenticated: bool) -> None:
        session.user = user
        session.authenticated = authenticated
        session.rest_unless_queueing()

    def _warn_of_guessing(self, session: Session, name: bytes, count: int) -> None:
        # Each time there are twice as many: guessing must not fill the log.
        if self._engine.on_warning is None or count & (count - 1):
            return
        address = session.address.decode("latin-1")
        shown = name[:_SHOWN_NAME_BYTES].decode("utf-8", "replace")
        times = "" if count == 1 else f", {count} times from there of late"
        self._engine.on_warning(f"login as {shown!r} failed, from {address}{times}")

    # -- the password of the setting `requirepass`

    def take_password(self) -> None:
        """Give the default user the password of the settings, and no other; an empty one
        lets everybody in.
        """
        password = str(self._engine.settings["requirepass"])
        self.default.passwords.clear()
        self.default.needs_password = bool(password)
        if password:
            from sharedstate_memory.acl_rules import digest_of

            digest = digest_of(password.encode("utf-8", "surrogateescape"))
            self.default.passwords[digest] = None

    # -- changing

    @property
    def starts_with_all_channels(self) -> bool:
        """Whether new users and selectors may use all channels, as the settings say."""
        return bool(self._engine.settings["acl-pubsub-default"] == "allchannels")

    def change(self, name: bytes, words: Sequence[bytes]) -> None:
        """Make a user, or change it, by rules (selectors joined). All or nothing: raises
        `RuleError`.
        """
        from sharedstate_memory.acl_rules import change_user

        user = self._by_name.get(name)
        changed = self._new_user(name) if user is None else user.copy()
        change_user(changed, words, all_channels=self.starts_with_all_channels)
        if user is None:
            self._by_name[name] = changed
            return
        user.become(changed)
        self._follow_changes([user])

    def delete(self, name: bytes) -> bool:
        """Delete a user, and close its sessions. False if there is none of this name."""
        user = self._by_name.pop(name, None)
        if user is None:
            return False
        self._lock_out([user])
        return True

    def load_lines(self, lines: Iterable[bytes], origin: str) -> None:
        """Have the users of these lines and no others: `user NAME RULE …`, empty lines
        aside. A default user that is not among them is as in the beginning. Sessions of
        users that are no longer the same are closed.

        All or nothing: raises `UserLinesError`.
        """
        loaded, errors = self._read_lines(lines, origin)
        if errors:
            raise UserLinesError(errors)
        before = {**self._by_name}
        default = loaded.pop(DEFAULT, None)
        if default is None:
            self.default.become(_everybody())
            self.take_password()
        else:
            self.default.become(default)
        same = {n: u for n, u in before.items() if _is_same(u, loaded.get(n))}
        self._by_name = {**loaded, **same, DEFAULT: self.default}
        self._lock_out([user for name, user in before.items() if self.get(name) != user])
        self._follow_changes([self.default])

    def _read_lines(
        self, lines: Iterable[bytes], origin: str
    ) -> tuple[dict[bytes, User], list[str]]:
        from sharedstate_memory.acl_lines import read_line

        loaded: dict[bytes, User] = {}
        errors: list[str] = []
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                user = read_line(line, all_channels=self.starts_with_all_channels)
                if user.name in loaded:
                    raise ValueError("Duplicate user found")
                loaded[user.name] = user
            except ValueError as error:
                errors.append(f"{origin}:{number}: {error}.")
        return loaded, errors

    def _new_user(self, name: bytes) -> User:
        user = User(name)
        user.permissions.permit_all_channels(self.starts_with_all_channels)
        return user

    # -- what follows for sessions

    def _follow_changes(self, users: Sequence[User]) -> None:
        """Close the sessions that listen to what they may not, and guard the others."""
        for session in self._sessions_of(users):
            if not _may_keep_listening(session):
                self._engine.disconnect(session)
        self._engine.review_sessions()

    def _lock_out(self, users: Sequence[User]) -> None:
        """Let users do nothing more, and end their sessions."""
        for user in users:
            user.become(User(user.name))
        for session in self._sessions_of(users):
            self._engine.disconnect(session)
        self._engine.review_sessions()

    def _sessions_of(self, users: Sequence[User]) -> list[Session]:
        sessions = self._engine.sessions.values()
        return [session for session in sessions if session.user in users]

    # -- the log

    @property
    def log(self) -> AccessLog:
        """The log of refusals."""
        if self._log is None:
            from sharedstate_memory.acl_log import AccessLog

            self._log = AccessLog()
        return self._log

    def note(self, session: Session, denial: Denial, context: str) -> None:
        """Log that a command was refused to a session's user."""
        self._note(session, denial.reason, context, (denial.object, session.user.name))

    def _note(
        self, session: Session, reason: str, context: str, what: tuple[bytes, bytes]
    ) -> None:
        # Here, because a refusal is rare, and CLIENT is a family of commands.
        from sharedstate_memory.commands.clients import info

        engine = self._engine
        engine.statistics.acl_denied[_COUNTED_AS[reason]] += 1
        client = info(session, [])
        self.log.add(
            (reason.encode(), context.encode(), *what),
            client.rstrip() if isinstance(client, bytes) else b"",
            now_ms=engine.now_ms,
            most=engine.settings["acllog-max-len"],
        )


def _never(key: bytes) -> Reply:
    return NOT_SERVED


def _everybody() -> User:
    user = User(DEFAULT)
    user.permit_everything()
    return user


def _is_same(user: User, other: User | None) -> bool:
    return other is not None and user.describe() == other.describe()


def _may_keep_listening(session: Session) -> bool:
    may = session.user.may_listen
    plain = (*session.channels, *session.shard_channels)
    return all(may(channel, is_pattern=False) for channel in plain) and all(
        may(pattern, is_pattern=True) for pattern in session.patterns
    )

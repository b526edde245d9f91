"""A user: whether it may log in, with what, and what it may do then.

Passwords are kept as SHA-256 hashes, as they stand in configuration files. A user who may
do everything is marked as such (`is_unrestricted`), so that nobody is asked about the
commands of those who are most of all clients.

A user is changed by being given the state of a changed copy (`become`), so that a change
is all or nothing, and sessions keep the user that they have.

Source: https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate.commands import CommandSpec
    from sharedstate_memory.acl_permissions import Denial, Permissions
    from sharedstate_memory.session import Session

_REFUSALS = {
    "command": b"NOPERM this user has no permissions to run the '%s' command",
    "key": b"NOPERM this user has no permissions to access one of the keys used as"
    b" arguments",
    "channel": b"NOPERM this user has no permissions to access one of the channels used as"
    b" arguments",
}

_SINCE_QUEUED = (
    b"NOPERM ACLs rules changed between the moment the transaction was accumulated and the"
    b" EXEC call. This command is no longer allowed for the following reason: "
)

_REASONS_SINCE_QUEUED = {
    "command": b"no permission to execute the command or subcommand",
    "key": b"no permission to touch the specified keys",
    "channel": b"no permission to access one of the channels used as arguments",
}

_REFUSALS_OF_SCRIPTS = {
    "command": b"ERR The user executing the script can't run this command or subcommand",
    "key": b"ERR The user executing the script can't access at least one of the keys"
    b" mentioned in the command arguments",
    "channel": b"ERR The user executing the script can't publish to the channel mentioned"
    b" in the command",
}


class User:
    """One user. Made by `Users`, which keeps them.

    `sanitizes` is the flag of payload checking, which is only remembered: nothing here
    takes payloads on trust.
    """

    __slots__ = (
        "_permissions",
        "is_on",
        "is_unrestricted",
        "name",
        "needs_password",
        "passwords",
        "sanitizes",
        "selectors",
    )

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.is_on = False
        self.needs_password = True
        self.passwords: dict[bytes, None] = {}
        self.sanitizes: bool | None = None
        # Made when somebody asks: most servers have but the one who may do everything.
        self._permissions: Permissions | None = None
        self.selectors: list[Permissions] = []
        self.is_unrestricted = False

    def permit_everything(self) -> None:
        """Let the user in without a password, and do all there is to do."""
        self.is_on = True
        self.needs_password = False
        self.passwords.clear()
        self._permissions = None
        self.is_unrestricted = True

    def copy(self) -> User:
        """A user that can be changed without anything coming of it."""
        other = User(self.name)
        other.become(self)
        return other

    def become(self, other: User) -> None:
        """Have the state of another user from now on, all but the name."""
        self.is_on = other.is_on
        self.needs_password = other.needs_password
        self.passwords = dict(other.passwords)
        self.sanitizes = other.sanitizes
        self._permissions = other.permissions.copy()
        self.selectors = [selector.copy() for selector in other.selectors]
        self.is_unrestricted = self.permissions.is_everything

    # -- logging in

    @property
    def is_open(self) -> bool:
        """Whether anyone may be this user, without a password."""
        return self.is_on and not self.needs_password

    def accepts(self, digest: bytes) -> bool:
        """Whether a password, given as its hash, lets in. All the user's hashes are
        compared, each in constant time.
        """
        from hmac import compare_digest  # here, because most servers have no password

        matches = sum(compare_digest(digest, known) for known in self.passwords)
        return self.is_on and (not self.needs_password or matches > 0)

    # -- permissions

    @property
    def permissions(self) -> Permissions:
        """What the user may do, selectors aside."""
        if self._permissions is None:
            from sharedstate_memory.acl_permissions import Permissions  # see `__init__`

            self._permissions = Permissions()
            if self.is_unrestricted:
                self._permissions.permit_everything()
        return self._permissions

    @permissions.setter
    def permissions(self, permissions: Permissions) -> None:
        self._permissions = permissions

    def denial(self, spec: CommandSpec, argv: list[bytes]) -> Denial | None:
        """Why the user may not execute a command; None when it may."""
        if self.is_unrestricted:
            return None
        furthest = self.permissions.denial(spec, argv)
        for selector in self.selectors:
            if furthest is None:
                return None
            denial = selector.denial(spec, argv)
            if denial is None or denial.rank > furthest.rank:
                furthest = denial
        return furthest

    def refusal(
        self, session: Session, spec: CommandSpec, argv: list[bytes]
    ) -> bytes | None:
        """The error for a command that the user may not execute in a session of its own;
        None when it may. A refusal is logged.
        """
        denial = self.denial(spec, argv)
        if denial is None:
            return None
        is_queued = session.transaction is not None
        session.engine.users.note(session, denial, "multi" if is_queued else "toplevel")
        text = _REFUSALS[denial.reason]
        return text % denial.object if denial.reason == "command" else text

    def refusal_since_queued(
        self, session: Session, spec: CommandSpec, argv: list[bytes]
    ) -> bytes | None:
        """As `refusal`, for a command of a transaction that is being executed."""
        denial = self.denial(spec, argv)
        if denial is None:
            return None
        session.engine.users.note(session, denial, "multi")
        return _SINCE_QUEUED + _REASONS_SINCE_QUEUED[denial.reason]

    def refusal_of_script(
        self, session: Session, spec: CommandSpec, argv: list[bytes]
    ) -> bytes | None:
        """As `refusal`, for a command of a script that the session's client runs."""
        denial = self.denial(spec, argv)
        if denial is None:
            return None
        session.engine.users.note(session, denial, "lua")
        return _REFUSALS_OF_SCRIPTS[denial.reason]

    def may_read_all_keys(self, spec: CommandSpec, argv: list[bytes]) -> bool:
        """Whether a command may read any key there is: SORT asks, for its BY and GET look
        at keys that stand in no argument.
        """
        return self.is_unrestricted or any(
            permissions.reads_all_keys and permissions.denial(spec, argv) is None
            for permissions in (self.permissions, *self.selectors)
        )

    def may_listen(self, channel: bytes, *, is_pattern: bool) -> bool:
        """Whether a subscription, made earlier, is one that the user may keep."""
        every = (self.permissions, *self.selectors)
        if is_pattern:
            return any(each.permits_pattern(channel) for each in every)
        return any(each.permits_channel(channel) for each in every)

    # -- describing

    def flags(self) -> list[bytes]:
        """What the user is, in words of the rules' language."""
        found = [b"on" if self.is_on else b"off"]
        if not self.needs_password:
            found.append(b"nopass")
        if self.sanitizes is not None:
            found.append(
                b"sanitize-payload" if self.sanitizes else b"skip-sanitize-payload"
            )
        return found

    def describe(self) -> bytes:
        """The line of a configuration file that makes this user."""
        hashes = [b"#" + digest for digest in self.passwords]
        selectors = [b"(%s)" % selector.describe() for selector in self.selectors]
        words = [b"user", self.name, *self.flags(), *hashes, self.permissions.describe()]
        return b" ".join([*words, *selectors])

    def __repr__(self) -> str:
        return f"<User {self.name.decode('utf-8', 'replace')}>"

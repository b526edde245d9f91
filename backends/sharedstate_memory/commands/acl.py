"""ACL: users, what they may do, and who was refused what.

Source: https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/
"""

from __future__ import annotations

from sharedstate.commands import COMMANDS, subcommands
from sharedstate_memory.acl import DEFAULT, UserLinesError
from sharedstate_memory.acl_rules import (
    CATEGORIES,
    RuleError,
    UnmatchedError,
    is_one_word,
    join_selectors,
)
from sharedstate_memory.commands.arguments import parse_integer
from sharedstate_memory.commands.registry import command, resolve_fully
from sharedstate_memory.replies import OK, CommandFailure, Members

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate.commands import CommandSpec
    from sharedstate_memory.acl import AclFile
    from sharedstate_memory.acl_permissions import Denial, Permissions
    from sharedstate_memory.acl_user import User
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

DEFAULT_LOG_LENGTH = 10
DEFAULT_PASSWORD_BITS = 256
MOST_PASSWORD_BITS = 4096

_BITS_PER_DIGIT = 4

_NO_FILE = (
    b"ERR This Redis instance is not configured to use an ACL file. You may want to"
    b" specify users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming"
    b" you have a Redis configuration file set) in order to store users in the Redis"
    b" configuration."
)
_NOT_SAVED = (
    b"ERR There was an error trying to save the ACLs. Please check the server logs for more"
    b" information"
)
_WRONG_BITS = (
    b"ERR ACL GENPASS argument must be the number of bits for the output password, a"
    b" positive number up to 4096"
)

_WOULD_BE_REFUSED = {
    "command": b"This user has no permissions to run the '%s' command",
    "key": b"This user has no permissions to access the '%s' key",
    "channel": b"This user has no permissions to access the '%s' channel",
}


@command("ACL|CAT")
def categories(session: Session, argv: list[bytes]) -> Reply:
    """The categories of commands, or the commands of a category."""
    _require_at_most(argv, 3)
    if len(argv) == 2:
        return [name.encode() for name in CATEGORIES]
    name = argv[2].decode("latin-1").lower()
    if name not in CATEGORIES:
        raise CommandFailure(b"ERR Unknown category '%s'" % argv[2])
    every = (*COMMANDS.values(), *subcommands().values())
    return [spec.name.lower().encode() for spec in every if f"@{name}" in spec.categories]


@command("ACL|SETUSER")
def set_user(session: Session, argv: list[bytes]) -> Reply:
    """Make a user, or change one, by rules."""
    name = argv[2]
    if not is_one_word(name):
        raise CommandFailure(b"ERR Usernames can't contain spaces or null characters")
    try:
        session.engine.users.change(name, join_selectors(argv[3:]))
    except UnmatchedError as error:
        raise CommandFailure(
            b"ERR Unmatched parenthesis in acl selector starting at '%s'." % error.word
        ) from error
    except RuleError as error:
        raise CommandFailure(
            b"ERR Error in ACL SETUSER modifier '%s': %s" % (error.word, error.reason)
        ) from error
    return OK


@command("ACL|DELUSER")
def delete_users(session: Session, argv: list[bytes]) -> Reply:
    """Delete users, and close their connections."""
    if DEFAULT in argv[2:]:
        raise CommandFailure(b"ERR The 'default' user cannot be removed")
    users = session.engine.users
    return sum(users.delete(name) for name in argv[2:])


@command("ACL|GETUSER")
def get_user(session: Session, argv: list[bytes]) -> Reply:
    """What is known of a user."""
    user = session.engine.users.get(argv[2])
    if user is None:
        return None
    return {
        b"flags": Members(user.flags()),
        b"passwords": [*user.passwords],
        **_describe(user.permissions),
        b"selectors": [_describe(selector) for selector in user.selectors],
    }


def _describe(permissions: Permissions) -> dict[bytes, Reply]:
    return {
        b"commands": permissions.describe_commands(),
        b"keys": permissions.describe_keys(),
        b"channels": permissions.describe_channels(),
    }


@command("ACL|LIST")
def list_users(session: Session, argv: list[bytes]) -> Reply:
    """The users, each as the line of a configuration file."""
    return [*session.engine.users.lines()]


@command("ACL|USERS")
def user_names(session: Session, argv: list[bytes]) -> Reply:
    """The names of the users."""
    return [*session.engine.users.names()]


@command("ACL|WHOAMI")
def whoami(session: Session, argv: list[bytes]) -> Reply:
    """The name of the user that this connection is."""
    return session.user.name


@command("ACL|GENPASS")
def generate_password(session: Session, argv: list[bytes]) -> Reply:
    """A password that nobody can guess, in hexadecimal digits."""
    _require_at_most(argv, 3)
    bits = parse_integer(argv[2]) if len(argv) == 3 else DEFAULT_PASSWORD_BITS
    if not 0 < bits <= MOST_PASSWORD_BITS:
        raise CommandFailure(_WRONG_BITS)
    from secrets import token_hex  # the engine's own randomness can be repeated

    digits = -(-bits // _BITS_PER_DIGIT)
    return token_hex(digits).encode()[:digits]


@command("ACL|LOG")
def log(session: Session, argv: list[bytes]) -> Reply:
    """The newest refusals, or an end to them."""
    _require_at_most(argv, 3)
    engine = session.engine
    if len(argv) == 3 and argv[2].upper() == b"RESET":
        engine.users.log.clear()
        return OK
    count = parse_integer(argv[2]) if len(argv) == 3 else DEFAULT_LOG_LENGTH
    return engine.users.log.newest(max(count, 0), engine.now_ms)


@command("ACL|LOAD")
def load(session: Session, argv: list[bytes]) -> Reply:
    """Have the users of the file, all of them or none."""
    file = _file_of(session)
    try:
        session.engine.users.load_lines(file.load(), file.path)
    except OSError as error:
        reason = (error.strerror or str(error)).encode()
        raise CommandFailure(
            b"ERR Error loading ACLs, opening file '%s': %s"
            % (file.path.encode("utf-8", "surrogateescape"), reason)
        ) from error
    except UserLinesError as error:
        raise CommandFailure(b"ERR " + str(error).encode()) from error
    return OK


@command("ACL|SAVE")
def save(session: Session, argv: list[bytes]) -> Reply:
    """Write the users to the file."""
    file = _file_of(session)
    try:
        file.save(session.engine.users.lines())
    except OSError as error:
        if session.engine.on_warning is not None:
            session.engine.on_warning(f"cannot write {file.path}: {error.strerror}")
        raise CommandFailure(_NOT_SAVED) from error
    return OK


def _file_of(session: Session) -> AclFile:
    file = session.engine.acl_file
    if file is None:
        raise CommandFailure(_NO_FILE)
    return file


@command("ACL|DRYRUN")
def dry_run(session: Session, argv: list[bytes]) -> Reply:
    """Whether a user may execute a command, without doing so."""
    user = session.engine.users.get(argv[2])
    if user is None:
        raise CommandFailure(b"ERR User '%s' not found" % argv[2])
    denial = _denial(user, argv[3:])
    return OK if denial is None else _WOULD_BE_REFUSED[denial.reason] % denial.object


def _denial(user: User, argv: list[bytes]) -> Denial | None:
    return user.denial(_spec_of(argv), argv)


def _spec_of(argv: list[bytes]) -> CommandSpec:
    try:
        return resolve_fully(argv)[3]
    except CommandFailure as failure:
        if b"wrong number" in failure.text:
            raise
        raise CommandFailure(b"ERR Command '%s' not found" % argv[0]) from failure


def _require_at_most(argv: list[bytes], most: int) -> None:
    if len(argv) > most:
        raise CommandFailure(
            b"ERR unknown subcommand or wrong number of arguments for '%s'. Try ACL HELP."
            % argv[1]
        )

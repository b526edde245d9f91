"""The language of access rules: words that change a user.

    on >secret ~cached:* %R~log:* +@read +set -keys (~own:* +@all)

Each word is understood by its first characters, or is one of the words below. A word in
parentheses is a set of rules of its own, which makes one more selector.

Source: https://redis.io/docs/latest/commands/acl-setuser/
"""

from __future__ import annotations

from sharedstate.commands import COMMANDS, subcommands
from sharedstate_memory.acl_permissions import CommandRule, Permissions
from sharedstate_memory.acl_user import User

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CATEGORIES = (
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
)
"""The names of the categories, without their @."""

_HASH_DIGITS = 64

_SYNTAX = "Syntax error"
_UNKNOWN = "Unknown command or category name in ACL"
_SUBCOMMAND_WORD = "Allowing first-arg of a subcommand is not supported"
_NO_SUCH_PASSWORD = "The password you are trying to remove from the user does not exist"
_BAD_HASH = (
    "The password hash must be exactly 64 characters and contain only lowercase"
    " hexadecimal characters"
)
_ALL_KEYS_BEFORE = (
    "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does"
    " not have any effect. Try 'resetkeys' to start with an empty list of patterns"
)
_ALL_CHANNELS_BEFORE = (
    "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and"
    " does not have any effect. Try 'resetchannels' to start with an empty list of channels"
)


class RuleError(ValueError):
    """A word that is no rule, and why. Nothing was changed by it."""

    def __init__(self, word: bytes, reason: str) -> None:
        super().__init__(reason)
        self.word = word.partition(b"\0")[0]
        self.reason = reason.encode("latin-1")


class UnmatchedError(ValueError):
    """A parenthesis that nobody closes. `word` is where it stands."""

    def __init__(self, word: bytes) -> None:
        super().__init__(word)
        self.word = word


def join_selectors(words: Sequence[bytes]) -> list[bytes]:
    """The words with each selector, which may have come in pieces, as one word. Raises
    `UnmatchedError`.
    """
    joined: list[bytes] = []
    opening: bytes | None = None
    for word in words:
        if opening is not None:
            joined[-1] += b" " + word
        else:
            joined.append(word)
            opening = word if word.startswith(b"(") else None
        if word.endswith(b")"):
            opening = None
    if opening is not None:
        raise UnmatchedError(opening)
    return joined


def is_one_word(text: bytes) -> bool:
    """Whether a text is still one when it is written into a file and read again."""
    return text.split() == [text] and b"\0" not in text


def digest_of(password: bytes) -> bytes:
    """The hash that is kept of a password: SHA-256 in hexadecimal digits."""
    from hashlib import sha256  # here, because most servers have no password

    return sha256(password).hexdigest().encode()


def change_user(user: User, words: Sequence[bytes], *, all_channels: bool) -> None:
    """Apply rules, selectors joined, to a user in their order. Raises `RuleError`; the
    rules before it have been applied.

    `all_channels` is whether new permissions begin with all channels.
    """
    for word in words:
        _apply(user, word, all_channels)
    user.is_unrestricted = user.permissions.is_everything


def new_permissions(*, all_channels: bool) -> Permissions:
    """The permissions that a new user or a selector begins with."""
    permissions = Permissions()
    permissions.all_channels = all_channels
    return permissions


def _apply(user: User, word: bytes, all_channels: bool) -> None:
    keyword = word.lower()
    if keyword in _OF_USERS:
        _OF_USERS[keyword](user)
    elif keyword == b"reset":
        _reset(user, all_channels)
    elif word[:1] in _OF_PASSWORDS:
        _OF_PASSWORDS[word[:1]](user, word)
    elif word[:1] == b"(" and word[-1:] == b")":
        selector = new_permissions(all_channels=all_channels)
        _fill_selector(selector, word)
        user.selectors.append(selector)
    elif word:
        change_permissions(user.permissions, word)


def _reset(user: User, all_channels: bool) -> None:
    user.become(User(user.name))
    user.sanitizes = True
    user.permissions = new_permissions(all_channels=all_channels)


def _fill_selector(selector: Permissions, word: bytes) -> None:
    for part in word[1:-1].split():
        try:
            change_permissions(selector, part)
        except RuleError as error:
            raise RuleError(word, error.reason.decode()) from error


# -- words about logging in


def _set_on(user: User) -> None:
    user.is_on = True


def _set_off(user: User) -> None:
    user.is_on = False


def _need_no_password(user: User) -> None:
    user.needs_password = False
    user.passwords.clear()


def _reset_passwords(user: User) -> None:
    user.needs_password = True
    user.passwords.clear()


def _sanitize(user: User) -> None:
    user.sanitizes = True


def _skip_sanitizing(user: User) -> None:
    user.sanitizes = False


def _clear_selectors(user: User) -> None:
    user.selectors.clear()


_OF_USERS: dict[bytes, Callable[[User], None]] = {
    b"on": _set_on,
    b"off": _set_off,
    b"nopass": _need_no_password,
    b"resetpass": _reset_passwords,
    b"sanitize-payload": _sanitize,
    b"skip-sanitize-payload": _skip_sanitizing,
    b"clearselectors": _clear_selectors,
}


def _add_password(user: User, word: bytes) -> None:
    user.passwords[_digest_in(word)] = None
    user.needs_password = True


def _remove_password(user: User, word: bytes) -> None:
    digest = _digest_in(word)
    if digest not in user.passwords:
        raise RuleError(word, _NO_SUCH_PASSWORD)
    del user.passwords[digest]


def _digest_in(word: bytes) -> bytes:
    """The hash that a word gives, or the hash of the password that it gives."""
    if word[:1] in (b">", b"<"):
        return digest_of(word[1:])
    digest = word[1:]
    if len(digest) != _HASH_DIGITS or digest.strip(b"0123456789abcdef"):
        raise RuleError(word, _BAD_HASH)
    return digest


_OF_PASSWORDS: dict[bytes, Callable[[User, bytes], None]] = {
    b">": _add_password,
    b"#": _add_password,
    b"<": _remove_password,
    b"!": _remove_password,
}


# -- words about permissions


def change_permissions(permissions: Permissions, word: bytes) -> None:
    """Apply a rule about commands, keys or channels. Raises `RuleError`."""
    keyword = word.lower()
    change = _OF_PERMISSIONS.get(keyword)
    if change is not None:
        change(permissions)
    elif word[:1] in (b"+", b"-"):
        permissions.add_rule(_read_rule(word))
    elif not is_one_word(word):
        raise RuleError(word, _SYNTAX)
    elif word[:1] in (b"~", b"%"):
        _add_keys(permissions, word)
    elif word[:1] == b"&":
        if permissions.all_channels:
            raise RuleError(word, _ALL_CHANNELS_BEFORE)
        permissions.channels[word[1:]] = None
    else:
        raise RuleError(word, _SYNTAX)


_OF_PERMISSIONS: dict[bytes, Callable[[Permissions], None]] = {
    b"allcommands": lambda permissions: permissions.permit_all_commands(True),
    b"+@all": lambda permissions: permissions.permit_all_commands(True),
    b"nocommands": lambda permissions: permissions.permit_all_commands(False),
    b"-@all": lambda permissions: permissions.permit_all_commands(False),
    b"allkeys": lambda permissions: permissions.permit_all_keys(True),
    b"~*": lambda permissions: permissions.permit_all_keys(True),
    b"resetkeys": lambda permissions: permissions.permit_all_keys(False),
    b"allchannels": lambda permissions: permissions.permit_all_channels(True),
    b"&*": lambda permissions: permissions.permit_all_channels(True),
    b"resetchannels": lambda permissions: permissions.permit_all_channels(False),
}


def _add_keys(permissions: Permissions, word: bytes) -> None:
    if permissions.all_keys:
        raise RuleError(word, _ALL_KEYS_BEFORE)
    flags, _, pattern = word.partition(b"~")
    flags = flags[1:].upper() if word[:1] == b"%" else b"RW"
    if not flags or flags.strip(b"RW"):
        raise RuleError(word, _SYNTAX)
    permissions.add_keys(pattern, reads=b"R" in flags, writes=b"W" in flags)


def _read_rule(word: bytes) -> CommandRule:
    sign, name = word[:1].decode(), word[1:].upper().decode("latin-1")
    if name[:1] == "@":
        if name[1:].lower() not in CATEGORIES:
            raise RuleError(word, _UNKNOWN)
        return CommandRule(sign + name.lower(), name.lower())
    if name in COMMANDS or name in subcommands():
        return CommandRule(sign + name.lower(), name)
    return _read_first_word(word)


def _read_first_word(word: bytes) -> CommandRule:
    """A rule such as `+select|0`, about a command with one first argument."""
    start, bar, first = word.rpartition(b"|")
    name = start[1:].upper().decode("latin-1")
    if not bar or word[:1] == b"-":
        raise RuleError(word, _UNKNOWN)
    if name in subcommands():
        raise RuleError(word, _SUBCOMMAND_WORD)
    if name not in COMMANDS or (first and _is_container(name)):
        raise RuleError(word, _UNKNOWN)
    if not is_one_word(first):
        raise RuleError(word, _SYNTAX)
    text = f"+{name.lower()}|{first.decode('latin-1')}"
    return CommandRule(text, name, first.lower())


def _is_container(command: str) -> bool:
    return any(name.startswith(command + "|") for name in subcommands())

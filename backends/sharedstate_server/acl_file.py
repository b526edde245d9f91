"""Users in files: the ACL file, and the lines of users in a configuration file."""

from __future__ import annotations

import os

from sharedstate_memory.directive_kinds import quote_always
from sharedstate_server.config_rewrite import replace_whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharedstate_memory.engine import Engine


class UserFile:
    """The file that `aclfile` names: a line for each user."""

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)

    def load(self) -> list[bytes]:
        """The lines. Raises `OSError`."""
        with open(self.path, "rb") as file:
            return file.read().splitlines()

    def save(self, lines: Sequence[bytes]) -> None:
        """Replace the file by these lines. Raises `OSError`; then it is as it was."""
        replace_whole(self.path, b"".join(line + b"\n" for line in lines))


def users_for_config(engine: Engine) -> list[str]:
    """The lines of users that belong into the configuration file: none if users have a
    file of their own, or if all that there is follows from `requirepass`.
    """
    lines = engine.users.lines()
    if engine.acl_file is not None or (len(lines) == 1 and _is_plain(engine, lines[0])):
        return []
    return [_as_config(line.decode("utf-8", "surrogateescape")) for line in lines]


def _as_config(line: str) -> str:
    """A user's line as a configuration file has it, where quotes have a meaning."""
    words = line.split(" ")
    return " ".join(
        quote_always(word) if '"' in word or "'" in word else word for word in words
    )


def _is_plain(engine: Engine, line: bytes) -> bool:
    """Whether the default user may do everything, with the password of the settings."""
    from hashlib import sha256  # here, because writing configuration is rare

    words = set(line.split()[2:])
    password: str = engine.settings["requirepass"]
    digest = sha256(password.encode("utf-8", "surrogateescape")).hexdigest()
    login = b"#" + digest.encode() if password else b"nopass"
    return words - {b"sanitize-payload"} == {b"on", login, b"~*", b"&*", b"+@all"}

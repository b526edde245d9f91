"""The server's directives: what sockets, files and the process need, as in redis.conf.

They have an effect here. Those which are only kept and shown are in `kept_directives.py`.
"""

from __future__ import annotations

import os

from sharedstate_memory.directive_kinds import (
    Clamped,
    Enum,
    Integer,
    Kind,
    Memory,
    Octal,
    SettingError,
)
from sharedstate_memory.directive_lists import BufferLimits, Integers, Words
from sharedstate_memory.directives import NATURAL, TEXT, YES_NO, Directive
from sharedstate_memory.settings import PROTECTION, Settings
from sharedstate_server.kept_directives import KEPT_DIRECTIVES
from sharedstate_server.persistence_directives import (
    PERSISTENCE_DIRECTIVES,
    saving_by_default,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharedstate_memory.directive_kinds import Value

# As many addresses as one server may listen on.
_MOST_ADDRESSES = 16

_LARGEST_UNSIGNED = 2**32 - 1
_MEGABYTE = 1024 * 1024

PORT = Integer(0, 65535)


class Folder(Kind):
    """A folder that exists, as an absolute path."""

    def parse(self, words: Sequence[str], old: Value) -> str:
        if not os.path.isdir(words[0]):
            raise SettingError(os.strerror(2 if not os.path.exists(words[0]) else 20))
        return os.path.realpath(words[0])

    def show(self, value: Value) -> str:
        return value or _working_folder()


def _working_folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""


def _refuse_words(value: Value) -> None:
    if value:
        raise SettingError("OpenSSL chooses the cipher suites of TLS 1.3 by itself")


_BAD_SCORES = "Invalid oom-score-adj-values, elements must be between -2000 and 2000."
_FACILITIES = Enum("user", *(f"local{number}" for number in range(8)))

SERVER_DIRECTIVES = (
    # Where it listens.
    Directive("port", PORT, 6379),
    Directive(
        "bind", Words(_MOST_ADDRESSES, "Too many bind addresses specified."), ("*", "-::*")
    ),
    Directive("unixsocket", TEXT, "", is_immutable=True),
    Directive("unixsocketperm", Octal(0, 0o777), 0, is_immutable=True),
    Directive("tcp-backlog", NATURAL, 511, is_immutable=True),
    Directive("protected-mode", YES_NO, True),
    # Its clients.
    Directive("maxclients", Integer(1, _LARGEST_UNSIGNED), 10_000),
    Directive("timeout", NATURAL, 0),
    Directive("tcp-keepalive", NATURAL, 300),
    Directive("client-query-buffer-limit", Memory(_MEGABYTE), 1024 * _MEGABYTE),
    Directive(
        "client-output-buffer-limit",
        BufferLimits(),
        {
            "normal": (0, 0, 0),
            "replica": (256 * _MEGABYTE, 64 * _MEGABYTE, 60),
            "pubsub": (32 * _MEGABYTE, 8 * _MEGABYTE, 60),
        },
    ),
    Directive("hz", Clamped(1, 500), 10),
    Directive("dynamic-hz", YES_NO, True),
    # TLS.
    Directive("tls-port", PORT, 0),
    Directive("tls-cert-file", TEXT, ""),
    Directive("tls-key-file", TEXT, ""),
    Directive("tls-key-file-pass", TEXT, ""),
    Directive("tls-ca-cert-file", TEXT, ""),
    Directive("tls-ca-cert-dir", TEXT, ""),
    Directive("tls-dh-params-file", TEXT, ""),
    Directive("tls-auth-clients", Enum("no", "yes", "optional"), "yes"),
    Directive("tls-protocols", TEXT, ""),
    Directive("tls-ciphers", TEXT, ""),
    Directive("tls-ciphersuites", TEXT, "", check=_refuse_words),
    Directive("tls-prefer-server-ciphers", YES_NO, False),
    Directive("tls-session-caching", YES_NO, True),
    # The process.
    Directive("daemonize", YES_NO, False, is_immutable=True),
    Directive(
        "supervised", Enum("upstart", "systemd", "auto", "no"), "no", is_immutable=True
    ),
    Directive("pidfile", TEXT, "", is_immutable=True),
    Directive("dir", Folder(), "", is_protected=True),
    Directive("crash-log-enabled", YES_NO, True),
    Directive("oom-score-adj", Enum("no", "yes", "relative", "absolute"), "no"),
    Directive(
        "oom-score-adj-values",
        Integers(3, -2000, 2000, _BAD_SCORES),
        ("0", "200", "800"),
    ),
    Directive(PROTECTION, Enum("no", "yes", "local"), "no", is_immutable=True),
    # Its log.
    Directive("loglevel", Enum("debug", "verbose", "notice", "warning"), "notice"),
    Directive("logfile", TEXT, "", is_immutable=True),
    Directive("syslog-enabled", YES_NO, False, is_immutable=True),
    Directive("syslog-ident", TEXT, "redis", is_immutable=True),
    Directive("syslog-facility", _FACILITIES, "local0", is_immutable=True),
)


def server_settings(*, saves: bool = False) -> Settings:
    """The settings of a server: the engine's and its own, with Redis's defaults. Those of
    `save` only if it `saves` unless it is told otherwise.
    """
    settings = Settings()
    settings.add(SERVER_DIRECTIVES)
    settings.add(KEPT_DIRECTIVES)
    settings.add(PERSISTENCE_DIRECTIVES)
    if saves:
        settings.add((saving_by_default(),))
    return settings

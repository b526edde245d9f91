"""Settings: the data. How they are gathered from files and environment is `resolve.py`.

One call configures everything: a URL and keyword options. Every value is checked once,
against an `OptionSpec`, and remembers where it came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sharedstate.errors import ConfigError
from sharedstate.records import EMPTY, Record


class OptionSpec(Record):
    """One option: its type, its default, and what it is for.

    `kind` is one of `str`, `int`, `float`, `bool`, `duration` (seconds, as a number, a
    `timedelta`, or text such as "250ms", "30s", "5m"), `secret` (a string that is never
    shown), `path` and `names` (a set of words, comma-separated in text).
    """

    kind: str
    default: object
    summary: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None


class Address(Record):
    """A URL, taken apart. Escapes are decoded; `query` holds options."""

    scheme: str
    username: str | None = None
    password: str | None = None
    host: str = ""
    """As written, `host:port` pairs separated by commas where there are several."""
    path: str = ""
    query: Mapping[str, str] = EMPTY

    def __repr__(self) -> str:
        return f"<Address {self.scheme}://{self.host}{self.path}>"

    def host_and_port(self, default_port: int) -> tuple[str, int]:
        """The one host and port of this address. Raises `ConfigError`."""
        host, colon, port = self.host.rpartition(":")
        if not colon or (host.startswith("[") and not host.endswith("]")):
            host, port = self.host, ""
        if port and not (port.isdecimal() and 0 < int(port) < 65536):
            raise ConfigError(f"expected a port from 1 to 65535, got {port!r}")
        return (host.strip("[]") or "127.0.0.1"), int(port or default_port)


def parse_url(url: str) -> Address:
    """Take a URL apart. Raises `ConfigError`, without showing a password."""
    scheme, separator, rest = url.partition("://")
    if not separator or not scheme:
        raise ConfigError(
            f"expected a URL such as local:// or redis://host:6379, got {redact(url)!r}"
        )
    if "#" in rest:
        raise ConfigError(f"a '#' in a URL must be written %23: {redact(url)!r}")
    rest, _, query = rest.partition("?")
    netloc, slash, path = rest.partition("/")
    credentials, at, host = netloc.rpartition("@")
    if netloc and not at and "@" in path:
        raise ConfigError(
            f"a '/' in a password must be written %2F, a '@' in a path %40: {redact(url)!r}"
        )
    username, _, password = credentials.partition(":")
    path = _unquote(slash + path)
    if "\0" in host + path:
        raise ConfigError(f"a zero character is in no address: {redact(url)!r}")
    return Address(
        scheme=scheme.lower(),
        username=_unquote(username) or None,
        password=_unquote(password) or None,
        host=host,
        path=path,
        query=_parse_query(query),
    )


def _unquote(text: str) -> str:
    if "%" not in text:
        return text  # and `urllib.parse` need not be imported
    from urllib.parse import unquote

    return unquote(text)


def _parse_query(query: str) -> dict[str, str]:
    if not query:
        return {}
    from urllib.parse import parse_qsl

    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in options:
            raise ConfigError(f"option {name!r} more than once in a URL: give it once")
        options[name] = value
    return options


def redact(url: str) -> str:
    """A URL fit for messages: what may be a password is `***`."""
    head, separator, rest = url.partition("://")
    place, question, query = rest.partition("?")
    if place.partition("/")[0] and "@" in place:
        credentials, _, host = place.rpartition("@")
        place = f"{credentials.partition(':')[0]}:***@{host}"
    parts = [_redact_part(part) for part in query.split("&")]
    return f"{head}{separator}{place}{question}{'&'.join(parts)}"


_SECRET_WORDS = ("pass", "secret", "key", "token")


def _redact_part(part: str) -> str:
    name, equals, _ = part.partition("=")
    is_secret = equals and any(word in name.lower() for word in _SECRET_WORDS)
    return f"{name}=***" if is_secret else part


def nearest(name: str, known: Iterable[str]) -> str:
    """What is known, and what was probably meant: the end of a message on a bad name."""
    import difflib

    words = sorted(known)
    close = difflib.get_close_matches(name, words, n=1)
    hint = f"did you mean {close[0]!r}? " if close and close[0] != name else ""
    return f"{hint}known: {', '.join(words) or 'none'}"


def check_text(text: str, what: str) -> None:
    """Raise `ConfigError` for text that cannot travel: with a lone surrogate in it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"expected text as {what}, got {text!r}: {error}") from None


COMMON_OPTIONS: dict[str, OptionSpec] = {
    "namespace": OptionSpec("str", "", "Put in front of every key, to share one store."),
    "serializer": OptionSpec("str", "msgpack", "How values become bytes."),
    "consistency": OptionSpec("str", "eventual", "When a write is called done."),
    "lock": OptionSpec("str", "token", "The lock strategy of state.lock()."),
    "timeout": OptionSpec("duration", 5.0, "Longest wait for one reply.", minimum=0.001),
    "connect_timeout": OptionSpec(
        "duration", 5.0, "Longest wait for a connection.", minimum=0.001
    ),
    "max_connections": OptionSpec(
        "int", 256, "Most connections of one process, waiting ones included.", minimum=1
    ),
    "username": OptionSpec("str", None, "The user to log in as."),
    "password": OptionSpec("secret", None, "The password to log in with."),
    "password_file": OptionSpec("path", None, "A file that holds the password."),
    "require": OptionSpec("names", frozenset(), "Capabilities the backend must have."),
}
"""The options that every backend has."""


class Settings(Record):
    """Checked settings. Hashable by identity of their content, picklable.

    The pickle carries the password, for a worker has to log in too; nothing else
    (`repr`, messages, logs) ever shows it.
    """

    url: str
    namespace: str = ""
    serializer: str = "msgpack"
    consistency: str = "eventual"
    lock: str = "token"
    timeout: float = 5.0
    connect_timeout: float = 5.0
    max_connections: int = 256
    username: str | None = None
    password: str | None = None
    require: frozenset[str] = frozenset()
    options: tuple[tuple[str, object], ...] = ()
    """What only this backend, serializer or level understands, as sorted pairs."""
    origins: tuple[tuple[str, str], ...] = ()
    """Where each value that is not a default came from, as sorted pairs."""

    @property
    def address(self) -> Address:
        """The URL, taken apart."""
        return parse_url(self.url)

    def option(self, name: str, default: object = None) -> object:
        """One of the backend's (serializer's, level's) own options."""
        return dict(self.options).get(name, default)

    def origin(self, name: str) -> str:
        """Where an option's value came from: `default`, `argument`, a file, …"""
        return dict(self.origins).get(name, "default")

    def __str__(self) -> str:
        return redact(self.url)

    def __repr__(self) -> str:
        return f"<Settings of {self}>"

    def _values(self) -> tuple[object, ...]:
        # Two are equal that do the same, wherever their values came from.
        return super()._values()[:-1]

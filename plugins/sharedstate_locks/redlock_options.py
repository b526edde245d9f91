"""What a redlock is made with: its servers, and the times that it goes by."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sharedstate.backend import Capability
from sharedstate.config import Settings, nearest, redact
from sharedstate.errors import ConfigError
from sharedstate.log import get_logger
from sharedstate.registry import get_registry
from sharedstate.requirements import check_modules
from sharedstate.resolve import gather
from sharedstate.waiting import to_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharedstate.locking import LockTarget

FEWEST_SERVERS = 3
"""With two, none may be down: that is worse than one server."""

_TIMES = {"server_timeout", "restart_delay", "retry_delay"}

# Lists of servers that were warned of: once is enough.
_warned: set[tuple[Settings, ...]] = set()


@dataclass(frozen=True, slots=True)
class RedlockOptions:
    """Checked options. Times in seconds."""

    servers: tuple[Settings, ...]
    server_timeout: float
    """How long one server may take: small against the ttl, and some round trips long."""
    restart_delay: float
    """How long a server has to be up before it votes: at least the longest ttl in use."""
    retry_delay: float
    """How long who waits sleeps at the most before it asks again."""

    @classmethod
    def of(cls, target: LockTarget, options: Mapping[str, object]) -> RedlockOptions:
        """Check what was given. No round trip. Raises `ConfigError`."""
        unknown = sorted(options.keys() - {"servers", *_TIMES})
        if unknown:
            known = ["servers", *_TIMES, "strategy", "ttl", "renew", "on_lost"]
            raise ConfigError(
                f"unknown option {unknown[0]!r} of the lock strategy 'redlock'; "
                f"{nearest(unknown[0], known)}"
            )
        ttl = target.ttl_ms / 1000
        timeout = _seconds(options, "server_timeout", min(0.2, max(0.05, ttl / 10)), ttl)
        if timeout <= 0:
            raise ConfigError(f"expected a server_timeout above 0 s, got {timeout:g}")
        return cls(
            _servers(options.get("servers"), timeout),
            timeout,
            _seconds(options, "restart_delay", ttl, float("inf")),
            _seconds(options, "retry_delay", 0.1, 3600.0),
        )


def _seconds(
    options: Mapping[str, object], name: str, default: float, most: float
) -> float:
    given: Any = options.get(name)
    seconds = default if given is None else to_seconds(given)
    if not 0 <= seconds <= most or seconds == float("inf"):
        raise ConfigError(
            f"expected {name} from 0 s to {most:g} s for the lock strategy 'redlock', got "
            f"{given!r}"
        )
    return seconds


def _servers(given: Any, timeout: float) -> tuple[Settings, ...]:
    if isinstance(given, str) or not isinstance(given, (list, tuple)):
        raise ConfigError(
            "the lock strategy 'redlock' needs servers=[…], the URLs of three or more "
            "independent servers, such as ['redis://a', 'redis://b', 'redis://c']; got "
            + ("none" if given is None else f"a {type(given).__name__}")
        )
    for url in given:
        if not isinstance(url, str):
            raise ConfigError(
                f"expected the URL of a server as str, got {type(url).__name__}"
            )
    servers = tuple(_settings(url, timeout) for url in given)
    twice = sorted({str(each) for each in servers if servers.count(each) > 1})
    if twice:
        raise ConfigError(f"each server has one vote, got {twice[0]} more than once")
    if len(servers) < FEWEST_SERVERS:
        raise ConfigError(
            f"expected at least {FEWEST_SERVERS} servers for the lock strategy 'redlock', "
            f"got {len(servers)}; on a single server the strategy 'token' is right"
        )
    if len(servers) % 2 == 0 and servers not in _warned:
        _warned.add(servers)
        get_logger("locks").warning(
            "a redlock of %d servers bears no more failures than one of %d: an odd "
            "number is better",
            len(servers),
            len(servers) - 1,
        )
    return servers


@lru_cache(256)
def _settings(url: str, timeout: float) -> Settings:
    """The settings of one server: by its URL alone. What the environment and files say is
    of another store, its password above all.
    """
    options = {"timeout": timeout, "connect_timeout": timeout}
    settings = gather(url, options, file=os.devnull, environment={})
    record = get_registry().backend(settings.address.scheme)
    check_modules(record)
    if Capability.PROCESSES not in record.capabilities:
        raise ConfigError(
            f"{redact(url)} cannot be reached by other processes, and has no vote: name "
            f"servers that run"
        )
    return settings

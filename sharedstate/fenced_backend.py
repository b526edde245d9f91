"""`FencedBackend`: a backend for one handle, whose writes carry fencing tokens.

A write is run as one script: the check of `fencing.lua`, followed by the script that was
asked for, or by what executes the commands. The check takes its own keys and arguments off
the end, so that a script behind it finds what it would find without. Replies are those
that the commands have by themselves; `fencing.py` says what the tokens are for.
"""

from __future__ import annotations

from contextvars import ContextVar
from functools import cache
from itertools import chain, islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sharedstate.backend import Backend, Script
from sharedstate.commands import find, is_write
from sharedstate.errors import CommandError, NotSupported, StaleToken
from sharedstate.structures.script_file import ScriptFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import TypeAlias

    from sharedstate.backend import (
        Argument,
        Capability,
        Command,
        Key,
        Reply,
        Subscription,
        Watch,
    )
    from sharedstate.config import Settings
    from sharedstate.fencing import Fence
    from sharedstate.structures.base import Structure

    Carried: TypeAlias = tuple[Structure, tuple[Fence, ...]]

_SCRIPTS = ScriptFile(__file__, "fencing.lua")

MAX_WORDS = 4000
"""The most words of a command that a script can pass on: Lua's stack ends at 8,000."""

# Commands that may be cut into several when they have more words: how many words belong
# together behind the key, and what the replies of the pieces make.
_DIVISIBLE: Mapping[str, tuple[int, Callable[[list[int]], int]]] = {
    "HSET": (2, sum),
    "HDEL": (1, sum),
    "SADD": (1, sum),
    "SREM": (1, sum),
    "ZREM": (1, sum),
    "LPUSH": (1, max),
    "RPUSH": (1, max),
}

_SUMS = frozenset({"INCR", "DECR", "INCRBY", "DECRBY", "HINCRBY"})
_RUNNERS = frozenset({"EVAL", "EVALSHA", "FCALL"})

# The fences of this thread or task, by the identity of the handle that carries them. The
# handle is kept with them, so that no other object can have its identity meanwhile.
carried: ContextVar[Mapping[int, Carried]] = ContextVar(
    "sharedstate_fences", default=MappingProxyType({})
)


class FencedBackend(Backend):
    """A backend for one handle, whose writes carry the fences that are in force."""

    def __init__(self, inner: Backend, handle: Structure) -> None:
        context = handle._context
        self._inner = inner
        self._place = id(handle)
        self._key = context.key("fence")
        self._subject = f"the {context.kind} {context.name!r}"

    def announce(self, fence: Fence) -> None:
        """Show a token to the structure. One round trip. Raises `StaleToken`."""
        self._run((fence,), _checked(_SCRIPTS["announce"]), (), ())

    @property
    def settings(self) -> Settings:
        return self._inner.settings

    @property
    def capabilities(self) -> frozenset[Capability]:
        return self._inner.capabilities

    def execute(self, command: Command) -> Reply:
        fences = self._fences()
        if not fences or not _writes(command):
            return self._inner.execute(command)
        if len(command) > MAX_WORDS:
            return self._run_commands(fences, (command,))[0]
        words = (len(command), *command)
        replies = self._run(fences, _commands_script(), _keys_of(command), words)
        return _joined(command, replies)

    def execute_many(self, commands: Sequence[Command]) -> list[Reply]:
        """Execute commands in order. With a fence, those that write make it atomic."""
        fences = self._fences()
        if not fences or not any(map(_writes, commands)):
            return self._inner.execute_many(commands)
        replies: list[Reply] = self._run_commands(fences, commands)
        return replies

    def transact(
        self, commands: Sequence[Command], *, watching: Watch | None = None
    ) -> list[Reply] | None:
        fences = self._fences()
        if not fences or not any(map(_writes, commands)):
            return self._inner.transact(commands, watching=watching)
        replies: list[Reply] | None = self._run_commands(
            fences, commands, watching=watching
        )
        return replies

    def run_script(
        self, script: Script, keys: Sequence[Key], arguments: Sequence[Argument] = ()
    ) -> Reply:
        fences = self._fences()
        if not fences or not script.fenced:
            return self._inner.run_script(script, keys, arguments)
        return self._run(fences, _checked(script), keys, arguments)

    def watch(self, keys: Sequence[Key]) -> Watch:
        return self._inner.watch(keys)

    def wait_for(self, command: Command, timeout: float) -> Reply:
        """Execute a blocking command. Not checked: a token is compared before a command,
        and whoever waits may write long after. Structures take nothing but wake-up calls.
        """
        return self._inner.wait_for(command, timeout)

    def subscribe(self, channels: Sequence[Key]) -> Subscription:
        return self._inner.subscribe(channels)

    def close(self) -> None:
        self._inner.close()

    def _fences(self) -> tuple[Fence, ...]:
        mine = carried.get().get(self._place)
        return () if mine is None else mine[1]

    def _run_commands(
        self,
        fences: tuple[Fence, ...],
        commands: Sequence[Command],
        *,
        watching: Watch | None = None,
    ) -> Any:
        """Run commands as one step. With a watch, None if a watched key was changed."""
        pieces = [_pieces(command) for command in commands]
        flat = list(chain.from_iterable(pieces))
        keys = [key for command in flat for key in _keys_of(command)]
        words = [word for command in flat for word in (len(command), *command)]
        replies = self._run(fences, _commands_script(), keys, words, watching=watching)
        if replies is None:
            return None
        each = iter(replies)
        return [
            _joined(command, list(islice(each, len(parts))))
            for command, parts in zip(commands, pieces, strict=True)
        ]

    def _run(
        self,
        fences: tuple[Fence, ...],
        script: Script,
        keys: Sequence[Key],
        arguments: Sequence[Argument],
        *,
        watching: Watch | None = None,
    ) -> Any:
        pairs = [word for fence in fences for word in (fence.fence_prefix, fence.token)]
        all_keys = (*keys, self._key)
        all_words: tuple[Argument, ...] = (*arguments, *pairs, len(fences))
        try:
            if watching is None:
                return self._inner.run_script(script, all_keys, all_words)
            # By its text: a script that the store does not know yet would use up the watch.
            call = ("EVAL", script.body, len(all_keys), *all_keys, *all_words)
            replies = self._inner.transact((call,), watching=watching)
            return None if replies is None else replies[0]
        except CommandError as error:
            if error.code != "STALETOKEN":
                raise
            _, place, highest = str(error).split()[:3]
            # Its frames hold the connection, and itself: they would live on in a cycle.
            error.__traceback__ = None
            raise self._stale(fences[int(place) - 1], int(highest)) from error

    def _stale(self, fence: Fence, highest: int) -> StaleToken:
        return StaleToken(
            f"the write to {self._subject} was refused and changed nothing: it carries the "
            f"token {fence.token} of the lock {fence.name!r}, and a later holder has come "
            f"with {highest}. The lock was lost: give up what it guarded, and begin anew "
            f"with what is stored now",
            lock=fence.name,
            token=fence.token,
            highest=highest,
        )


@cache
def _checked(script: Script) -> Script:
    """A script that checks fences first. Never repeatable: see the module."""
    return Script(f"{script.name}+fenced", _SCRIPTS["check"].body + script.body)


@cache
def _commands_script() -> Script:
    return _checked(_SCRIPTS["commands"])


def _writes(command: Command) -> bool:
    name = command[0]
    if not is_write(name):
        if _upper(name) in _RUNNERS:
            raise NotSupported(f"{name!r} cannot be fenced as a command: use run_script")
        return False
    return True


def _upper(name: Argument) -> str:
    return (name.decode("latin-1") if isinstance(name, bytes) else str(name)).upper()


def _keys_of(command: Command) -> Sequence[Any]:
    """The keys of a command, where the table says that they are."""
    spec = find(command[0])
    if (
        spec is not None
        and spec.first_key == spec.last_key == 1
        and "movablekeys" not in spec.flags
    ):
        return command[1:2]
    return list(_keys_in_places(command))


def _keys_in_places(command: Command) -> Iterator[Any]:
    from sharedstate.key_specs import key_specs

    for place in key_specs().get(_upper(command[0]), ()):
        if place.first is None:
            continue
        first = place.first + place.offset
        if place.is_counted:
            end = first + int(command[place.first]) * place.step
        else:
            end = place.last + 1 + (place.first if place.last >= 0 else len(command))
        yield from command[first : end : place.step]


def _pieces(command: Command) -> list[Command]:
    """A command in pieces that a script can pass on. Raises `NotSupported`."""
    if len(command) <= MAX_WORDS:
        return [command]
    divisible = _DIVISIBLE.get(_upper(command[0]))
    if divisible is None:
        raise NotSupported(
            f"a fenced {_upper(command[0])} may have {MAX_WORDS} words, got {len(command)}"
        )
    size = MAX_WORDS // 2 * divisible[0]
    return [
        (*command[:2], *command[start : start + size])
        for start in range(2, len(command), size)
    ]


def _joined(command: Command, replies: list[Any]) -> Any:
    """The reply to a command, from those to its pieces."""
    if len(replies) > 1:
        return _DIVISIBLE[_upper(command[0])][1](replies)
    (reply,) = replies
    if type(reply) is bytes and _upper(command[0]) in _SUMS:
        return int(reply)
    return reply

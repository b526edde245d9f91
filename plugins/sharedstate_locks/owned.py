"""What locks with a single owner share: everything but who comes next.

`owner.lua` is their model, `exclusive.lua` has the scripts that are the same for all.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sharedstate.errors import CommandError
from sharedstate.locking import Grant, LockInfo, Refusal, Renewal
from sharedstate.parties import read_holder, read_line
from sharedstate.scripts import LINE, load_scripts
from sharedstate.sessions import Will

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharedstate.backend import Script
    from sharedstate.locking import LockTarget, Owner

_FOLDER = Path(__file__).parent
_SHARED = (LINE, str(_FOLDER / "deadlocks.lua"), str(_FOLDER / "owner.lua"))
_SHARED_SCRIPTS = str(_FOLDER / "exclusive.lua")


def scripts_of(name: str) -> dict[str, Script]:
    """The scripts of one strategy, by name: its own file's before the shared ones."""
    shared = load_scripts(_SHARED_SCRIPTS, *_SHARED)
    own = load_scripts(str(_FOLDER / f"{name}.lua"), *_SHARED)
    return {**shared, **own}


class OwnedStrategy:
    """A `LockStrategy` with one owner, whose nonce differs for each acquisition."""

    script_file: str
    """The name of its Lua file."""
    parts: tuple[str, ...] = ("owner", "fencing", "line", "waiters")

    def __init__(self, target: LockTarget) -> None:
        self._target = target
        self._run = target.backend.run_script
        self._ttl_ms = str(target.ttl_ms)
        self._keys = tuple(map(target.key, self.parts))
        # Where deadlocks are looked for, a key that all locks share comes last.
        self._all_keys = self._keys
        if target.waits_key is not None:
            self._all_keys = (*self._keys, target.waits_key)
        self._scripts = scripts_of(self.script_file)
        self._acquire = self._scripts["acquire"]
        self._release = self._scripts["release"]

    def try_acquire(self, owner: Owner, channel: str | None) -> Grant | Refusal:
        """Ask once. One round trip; safe to repeat."""
        words: tuple[str, ...] = (owner.nonce + owner.description, self._ttl_ms)
        reply: int
        if channel is None:
            # The one question of most acquisitions.
            reply = self._run(self._acquire, self._keys, words)
        else:
            reply = self._ask(owner, (*words, channel, self._waiting_thread(owner)))
        return Grant(owner, reply) if reply > 0 else Refusal(-reply)

    def _waiting_thread(self, owner: Owner) -> str:
        """The id of a thread that means to wait for ever; empty where none is asked for."""
        is_asked_for = owner.is_patient and self._target.waits_key is not None
        return owner.identity if is_asked_for else ""

    def _ask(self, owner: Owner, words: Sequence[str]) -> Any:
        """Run the script that acquires. Raises `DeadlockError`."""
        keys = self._all_keys if self._waiting_thread(owner) else self._keys
        try:
            return self._run(self._acquire, keys, words)
        except CommandError as error:
            if error.code != "DEADLOCK":
                raise
            from sharedstate_locks.deadlocks import explain_deadlock

            raise explain_deadlock(self._target.name, str(error)) from None

    def leave(self, owner: Owner) -> None:
        """Give up waiting, and what was granted meanwhile. One round trip."""
        self._run(self._scripts["leave"], self._keys, (owner.nonce,))

    def release(self, grant: Grant) -> int | None:
        """Release, and let the next one have it. One round trip."""
        owner = grant.owner
        value = owner.nonce + owner.description
        left: int | None = self._run(self._release, self._keys, (value,))
        return left

    def renewal(self, grant: Grant) -> Renewal:
        """The call that begins the lease time anew. No round trip."""
        value = grant.owner.nonce + grant.owner.description
        return Renewal(self._scripts["renew"], self._keys[:1], (value, self._ttl_ms))

    def will(self, tag: str) -> Will:
        """What ends, and what keeps, all that a session has of this lock."""
        return Will(
            end=self._scripts["ended"],
            keep=self._scripts["keep"],
            keep_every=self._target.ttl_ms / 3000,
            keys=self._all_keys,
            arguments=(tag, self._ttl_ms, "1" if self._target.waits_key else "0"),
        )

    def inspect(self) -> LockInfo:
        """Who holds the lock, until when, and who waits. One round trip."""
        reply: Any = self._run(self._scripts["inspect"], self._keys)
        value, left_ms, fencing, waiting, line = reply
        return LockInfo(
            name=self._target.name,
            holders=() if value is None else (read_holder(value),),
            remaining=None if value is None else max(0, left_ms) / 1000,
            waiters=waiting,
            fencing=int(fencing or 0),
            line=read_line(line),
        )

    def force_release(self) -> bool:
        """Release whoever holds the lock, and let the next one have it. One round trip."""
        value: bytes | None = self._run(self._scripts["force_release"], self._keys)
        return value is not None

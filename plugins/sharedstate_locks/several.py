"""The lock of several names: all of them or none. `several.lua` is its model.

    SeveralStrategy     one script tries all names: a store that has all keys in one place
    OneByOneStrategy    name by name in the common order, for a store that is spread

Both take the names as plain token locks take theirs, on the same keys, so that they
exclude each other. Neither can run into a deadlock: whoever waits while it holds something
waits for a name behind all that it holds.

What is promised to who waits: it is called when a name that it waits for becomes free, as
in a plain lock, and after 8 calls in vain (another of its names was taken meanwhile) it is
served name by name, as a plain lock serves: there nobody is passed over twice in a row.
A call is in vain as well if somebody was quicker at the same name. That holds as long as it
gets all names within one lease time; if it does not, it lets go and begins anew, for those
who take plain locks in another order may wait for it.
"""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from sharedstate.errors import CommandError, ConfigError
from sharedstate.locking import GrantOfSeveral, Holder, LockInfo, Refusal, Renewal
from sharedstate.parties import read_holder, read_line
from sharedstate.scripts import LINE, load_scripts
from sharedstate.sessions import Will

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sharedstate.locking import Grant, LockTarget, Owner

_FOLDER = Path(__file__).parent
_FILES = (
    str(_FOLDER / "several.lua"),
    LINE,
    str(_FOLDER / "deadlocks.lua"),
    str(_FOLDER / "owner.lua"),
)


class SeveralStrategy:
    """A `LockStrategy` for several names at once, where one script may have them all.

    `prefixes` say what the keys of each name begin with, in the order of the names.
    """

    def __init__(self, target: LockTarget, prefixes: Mapping[str, str]) -> None:
        self._target = target
        self._run = target.backend.run_script
        self._ttl_ms = str(target.ttl_ms)
        self._names = tuple(prefixes)
        self._keys_of_each = [
            tuple(f"{prefix}:{part}" for part in ("owner", "fencing", "line", "waiters"))
            for prefix in prefixes.values()
        ]
        self._keys = tuple(key for keys in self._keys_of_each for key in keys)
        # Where deadlocks are looked for, a key that all locks share comes last.
        self._all_keys = self._keys
        if target.waits_key is not None:
            self._all_keys = (*self._keys, target.waits_key)
        self._scripts = load_scripts(*_FILES)

    def try_acquire(self, owner: Owner, channel: str | None) -> Grant | Refusal:
        """Ask once for all. One round trip; safe to repeat. Raises `DeadlockError`."""
        thread, keys = "", self._keys
        if owner.is_patient and self._target.waits_key is not None:
            thread, keys = owner.identity, self._all_keys
        words = (owner.nonce, owner.description, self._ttl_ms, channel or "", thread)
        try:
            reply: Any = self._run(self._scripts["acquire"], keys, words)
        except CommandError as error:
            if error.code != "DEADLOCK":
                raise
            from sharedstate_locks.deadlocks import explain_deadlock

            raise explain_deadlock(self._target.name, str(error)) from None
        if isinstance(reply, int):
            return Refusal(-reply, is_holding=len(self._names) > 1)
        return _grant(owner, reply)

    def leave(self, owner: Owner) -> None:
        """Give up waiting, and what was granted meanwhile. One round trip."""
        self._run(self._scripts["leave"], self._keys, (owner.nonce,))

    def release(self, grant: Grant) -> int | None:
        """Release all that is still held; None if that was not all. One round trip."""
        left: int | None = self._run(self._scripts["release"], self._keys, (_value(grant),))
        return left

    def renewal(self, grant: Grant) -> Renewal:
        """The call that begins the lease time of all anew. No round trip."""
        return Renewal(self._scripts["renew"], self._keys, (_value(grant), self._ttl_ms))

    def will(self, tag: str) -> Will:
        """What ends, and what keeps, all that a session has of these names."""
        return Will(
            end=self._scripts["ended"],
            keep=self._scripts["keep"],
            keep_every=self._target.ttl_ms / 3000,
            keys=self._all_keys,
            arguments=(tag, self._ttl_ms, "1" if self._target.waits_key else "0"),
        )

    def inspect(self) -> LockInfo:
        """Who holds any of the names, and who waits for them. One round trip."""
        return self._told(self._run(self._scripts["inspect"], self._keys))

    def force_release(self) -> bool:
        """Release whoever holds any of the names. One round trip."""
        held: int = self._run(self._scripts["force_release"], self._keys)
        return held > 0

    def _told(self, replies: Sequence[Any]) -> LockInfo:
        holders: list[Holder] = []
        waiting: list[Holder] = []
        for name, (value, _, _, _, line) in zip(self._names, replies, strict=True):
            if value is not None:
                holders.append(read_holder(value, name))
            waiting += read_line(line)
        held = [left_ms for value, left_ms, *_ in replies if value is not None]
        return LockInfo(
            name=self._target.name,
            holders=tuple(holders),
            remaining=max(0, *held) / 1000 if held else None,
            waiters=sum(count for _, _, _, count, _ in replies),
            fencing=max(int(number or 0) for _, _, number, _, _ in replies),
            line=tuple(waiting),
        )


class OneByOneStrategy(SeveralStrategy):
    """The same name by name: as many round trips as there are names.

    It holds the first of them while it waits for the next. If its process dies meanwhile,
    they are free when their leases end. Asked at least three times in a lease time, since
    what is held while waiting has to be renewed.

    Who holds plain locks in another order may wait for what is held here, for ever. So who
    has not got all within a lease time lets go of them, and begins anew.
    """

    def __init__(self, target: LockTarget, prefixes: Mapping[str, str]) -> None:
        super().__init__(target, prefixes)
        # Since when those who wait hold something: by nonce, in the order in which they
        # began. For as long as this process waits; the store cannot tell it in one place.
        self._held_since: dict[str, float] = {}

    def try_acquire(self, owner: Owner, channel: str | None) -> Grant | Refusal:
        """Ask for one after the other, up to the first that another one has.

        After a lease time in vain all are freed, and asked for again from behind those who
        wait for the first: up to twice the names and one in round trips.
        """
        outcome = self._ask(owner, channel, "")
        since = self._held_since.get(owner.nonce)
        if since is None or monotonic() - since < self._target.ttl_ms / 1000:
            return outcome
        self.leave(owner)
        return self._ask(owner, channel, "behind")

    def _ask(self, owner: Owner, channel: str | None, place: str) -> Grant | Refusal:
        words = (owner.nonce, owner.description, self._ttl_ms, channel or "", "", place)
        numbers: list[int] = []
        for at, keys in enumerate(self._keys_of_each):
            reply: Any = self._run(self._scripts["acquire"], keys, words)
            if isinstance(reply, int):
                # What lies behind it may be ours from before the first ones were lost. Who
                # waits here must not hold it. Who does not wait holds nothing at all.
                others = self._keys_of_each[at + 1 :]
                self._leave(
                    owner, others if channel else (*others, *self._keys_of_each[:at])
                )
                if at and channel:
                    self._note_held(owner)
                    punctual = min(-reply, self._target.ttl_ms // 3)
                    return Refusal(punctual, is_holding=True)
                self._held_since.pop(owner.nonce, None)
                return Refusal(-reply)
            numbers += reply
        self._held_since.pop(owner.nonce, None)
        return _grant(owner, numbers)

    def _note_held(self, owner: Owner) -> None:
        """Note since when one who waits holds something, and forget those who do not ask
        any more: their waits ended by an error.
        """
        now = monotonic()
        if owner.nonce in self._held_since:
            return
        for nonce, since in list(self._held_since.items()):
            if now - since < 2 * self._target.ttl_ms / 1000:
                break
            self._held_since.pop(nonce, None)
        self._held_since[owner.nonce] = now

    def leave(self, owner: Owner) -> None:
        """Give up waiting, and what was granted meanwhile."""
        self._held_since.pop(owner.nonce, None)
        self._leave(owner, self._keys_of_each)

    def release(self, grant: Grant) -> int | None:
        """Release all that is still held; None if that was not all."""
        words = (_value(grant),)
        replies = [
            self._run(self._scripts["release"], keys, words) for keys in self._keys_of_each
        ]
        return None if None in replies else 0

    def renew(self, grants: Sequence[Grant]) -> list[int | Exception]:
        """Renew name by name: 0 for who has lost any of them, an error for a doubt."""
        return [self._renew(grant) for grant in grants]

    def inspect(self) -> LockInfo:
        """Who holds any of the names, and who waits. Not a snapshot."""
        script = self._scripts["inspect"]
        return self._told([self._run(script, keys)[0] for keys in self._keys_of_each])

    def force_release(self) -> bool:
        """Release whoever holds any of the names."""
        script = self._scripts["force_release"]
        held = [self._run(script, keys) for keys in self._keys_of_each]
        return any(held)

    def _leave(self, owner: Owner, keys_of_each: Sequence[tuple[str, ...]]) -> None:
        for keys in keys_of_each:
            self._run(self._scripts["leave"], keys, (owner.nonce,))

    def _renew(self, grant: Grant) -> int | Exception:
        words = (_value(grant), self._ttl_ms)
        try:
            for keys in self._keys_of_each:
                if self._run(self._scripts["renew"], keys, words) != 1:
                    return 0
        except Exception as error:
            return error
        return 1


def create(target: LockTarget, options: Mapping[str, object]) -> SeveralStrategy:
    """The strategy for what `state.multilock` asks for."""
    prefixes: Any = options.get("prefixes")
    if not prefixes:
        raise ConfigError(
            "the lock strategy 'several' is that of state.multilock([name, …]), which "
            "tells it the names; state.lock(name) takes another one, such as 'token'"
        )
    kind = OneByOneStrategy if options.get("one_by_one") else SeveralStrategy
    return kind(target, prefixes)


def _value(grant: Grant) -> str:
    return grant.owner.nonce + grant.owner.description


def _grant(owner: Owner, numbers: Sequence[int]) -> GrantOfSeveral:
    return GrantOfSeveral(owner, max(numbers), numbers=tuple(numbers))

"""What a failed login costs: time, more with each failure from the same address.

Guessing passwords is slowed down for the address that guesses, on however many
connections; nobody else waits, the loop least of all, for the delay is a wait as that of
a blocking command. A login that succeeds is never delayed, so that a guesser cannot keep
others out who come from the same address.

So much is remembered of so many addresses, and of each only for a while: the table has a
bound. An attacker with more addresses than that pays the first delay for each guess.
"""

from __future__ import annotations

FIRST_DELAY_MS = 100
LONGEST_DELAY_MS = 3200

# An address without failures for so long begins again.
FORGIVEN_AFTER_MS = 60_000

MOST_ADDRESSES = 1024


class Failures:
    """The failures of one address."""

    __slots__ = ("count", "last_ms")

    def __init__(self) -> None:
        self.count = 0
        self.last_ms = 0


class LoginDelays:
    """The failed logins of the last minute, by address."""

    __slots__ = ("_by_address",)

    def __init__(self) -> None:
        # In the order of their last failures.
        self._by_address: dict[bytes, Failures] = {}

    def note(self, address: bytes, now_ms: int) -> int:
        """Note a failure. Returns how many there were from the address of late."""
        failures = self._by_address.pop(address, None)
        if failures is None or now_ms - failures.last_ms > FORGIVEN_AFTER_MS:
            failures = Failures()
        failures.count += 1
        failures.last_ms = now_ms
        self._by_address[address] = failures
        if len(self._by_address) > MOST_ADDRESSES:
            del self._by_address[next(iter(self._by_address))]
        return failures.count


def delay_ms(count: int) -> int:
    """How long the reply to the so-manyth failure is kept back."""
    doublings = min(count - 1, LONGEST_DELAY_MS.bit_length())
    return min(FIRST_DELAY_MS << doublings, LONGEST_DELAY_MS)

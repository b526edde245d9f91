"""RateLimiter: so many in so long, over all processes and machines.

One script decides, with the store's clock; `rate_strategy.py` says what a strategy is, and
each strategy's docstring what it allows at most.

Who has to wait reserves a moment of its own, in the same script, and sleeps exactly until
then: whoever asks first is served first, nobody asks twice, and nobody is woken in vain.
A reservation that is given up (Ctrl-C) is given back. A process that is killed while it
sleeps leaves its moment unused: the limit is kept, and a grant lost.

The moment of a grant is the store's. A process that does not run when its moment comes (it
was stopped, the machine is busy) acts later, together with those whose moment is then.
"""

from __future__ import annotations

import time
from contextlib import ContextDecorator, suppress
from importlib import import_module
from time import monotonic
from typing import TYPE_CHECKING, Any

from sharedstate.errors import ConfigError, SharedStateError
from sharedstate.structures.arithmetic import finite, whole
from sharedstate.structures.base import Structure
from sharedstate.structures.rate_strategy import Quota, RateStrategy
from sharedstate.waiting import to_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    from sharedstate.structures.base import StructureContext

MAX_RATE = 1_000_000.0
"""The highest rate, in grants a second: the store's clock counts microseconds."""

_LONGEST_SLEEP_SECONDS = 24 * 3600.0

_STRATEGIES = {
    "gcra": ("sharedstate.structures.rate_gcra", "Gcra"),
    "fixed_window": ("sharedstate.structures.rate_fixed_window", "FixedWindow"),
    "sliding_window": ("sharedstate.structures.rate_sliding_window", "SlidingWindow"),
}


class RateLimiter(Structure, ContextDecorator):
    """Grants, so many in each period, shared by all who use the name.

    Each call goes by the quota of its handle, so give the same one everywhere; a new quota
    holds from the first call that has it. `with limiter:` waits for one grant, and so does
    each call of a function that is decorated with `@limiter`.
    """

    def __init__(self, context: StructureContext, options: Mapping[str, object]) -> None:
        super().__init__(context, options)
        quota, strategy = _check_options(context.name, dict(options))
        self._strategy = strategy(context, quota)

    def try_acquire(self, n: int = 1) -> bool:
        """Take `n` grants now; False, and nothing taken, if they are not free now.

        Atomic; one round trip. Raises `ValueError` for more than could ever be granted.
        """
        return self._strategy.reserve(self._check(n), 0) is not None

    def acquire(self, n: int = 1, timeout: float | timedelta | None = None) -> bool:
        """Take `n` grants, and wait until they are due; False if that would be too late.

        Whether they are due within `timeout` seconds is known at once: if not, False is
        returned without waiting, and nothing is taken. None waits for as long as it takes.
        One round trip, whether it waits or not; one more if the wait is interrupted.

        Raises `ValueError` for more than could ever be granted, and `IndeterminateError` if
        the answer was lost: then a place may have been taken, and stays unused.
        """
        place = self._strategy.reserve(self._check(n), _check_timeout(timeout))
        if place is None:
            return False
        try:
            _sleep(place.wait)
        except BaseException:
            # The interrupt is what the caller has to hear of. What cannot be given back is
            # a grant that nobody uses.
            with suppress(SharedStateError):
                self._strategy.give_back(n, place.ticket)
            raise
        return True

    def retry_after(self, n: int = 1) -> float:
        """In how many seconds `n` grants will be free unless others take them; 0.0 if they
        are. One round trip."""
        return self._strategy.look(self._check(n))[0]

    @property
    def remaining(self) -> int:
        """How many grants are free at this moment. One round trip."""
        return self._strategy.look(1)[1]

    def reset(self) -> None:
        """Forget all grants: the limiter is as new. Atomic; one round trip.

        Those who wait keep the moments that they were promised, and are not counted.
        """
        self._strategy.reset()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """A grant is used up when it is given, so there is nothing to do."""

    def _check(self, n: int) -> int:
        most = self._strategy.most
        if not 1 <= whole(n, "number of grants") <= most:
            raise ValueError(
                f"expected from 1 to {most} grants at once, which is what the rate limiter "
                f"{self.name!r} can ever give, got n={n}"
            )
        return n


def _check_options(name: str, options: dict[str, Any]) -> tuple[Quota, type[RateStrategy]]:
    """The quota and the strategy. Raises `ConfigError` for what is none."""
    limit, period = options.pop("limit", None), options.pop("period", None)
    burst, strategy = options.pop("burst", None), options.pop("strategy", "gcra")
    if options:
        raise ConfigError(
            f"a rate limiter has no option {', '.join(options)}; it has limit, period, "
            f"burst and strategy"
        )
    try:
        rate, seconds = finite(limit, "limit"), finite(to_seconds(period), "period")
    except (TypeError, ValueError) as error:
        raise ConfigError(f"the rate limiter {name!r}: {error}") from None
    if not (rate > 0 and seconds > 0 and rate / seconds <= MAX_RATE):
        raise ConfigError(
            f"expected a limit and a period above zero, and not more than {MAX_RATE:,.0f} "
            f"a second, for the rate limiter {name!r}, got limit={limit!r} and "
            f"period={period!r}"
        )
    if burst is not None and (type(burst) is not int or burst < 1):
        raise ConfigError(f"expected a burst of at least 1, got {burst!r}")
    return Quota(name, rate, seconds, burst), _find_strategy(strategy)


def _find_strategy(strategy: object) -> type[RateStrategy]:
    if isinstance(strategy, str) and strategy in _STRATEGIES:
        module, attribute = _STRATEGIES[strategy]
        found: type[RateStrategy] = getattr(import_module(module), attribute)
        return found
    if isinstance(strategy, type) and issubclass(strategy, RateStrategy):
        return strategy
    raise ConfigError(
        f"expected a strategy of rate limiting, one of {', '.join(_STRATEGIES)} or a "
        f"subclass of RateStrategy, got {strategy!r}"
    )


def _check_timeout(timeout: float | timedelta | None) -> float | None:
    if timeout is None:
        return None
    seconds = to_seconds(timeout)
    if not seconds >= 0:
        raise ValueError(f"timeout must be a non-negative number, got {timeout!r}")
    return None if seconds == float("inf") else seconds


def _sleep(seconds: float) -> None:
    """Sleep so long, and not less."""
    end = monotonic() + seconds
    while (left := end - monotonic()) > 0:
        time.sleep(min(left, _LONGEST_SLEEP_SECONDS))

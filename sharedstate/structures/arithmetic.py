"""Numbers that the store adds to: what may be added, and what its refusals mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharedstate.errors import CounterOverflow, NotANumber

if TYPE_CHECKING:
    from sharedstate.errors import CommandError

LEAST = -(2**63)
MOST = 2**63 - 1


def whole(value: object, what: str = "amount") -> int:
    """The value as an `int`. Raises `TypeError` for anything else, `bool` included."""
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    raise TypeError(f"expected the {what} as an int, got {type(value).__name__}: {value!r}")


def stored_whole(value: object, what: str = "value") -> int:
    """A whole number that the store can count with. Raises `CounterOverflow`."""
    number = whole(value, what)
    if LEAST <= number <= MOST:
        return number
    raise CounterOverflow(
        f"expected a {what} of 64 bits, from -2**63 to 2**63 - 1, got {number}"
    )


def finite(value: object, what: str = "amount") -> float:
    """The value as a finite `float`. Raises `TypeError` or `ValueError`."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        number = float(value)
        if number - number == 0:  # Neither infinite nor NaN.
            return number
        raise ValueError(f"expected the {what} as a finite number, got {value!r}")
    raise TypeError(
        f"expected the {what} as a float or int, got {type(value).__name__}: {value!r}"
    )


def raise_refused_sum(refusal: CommandError, subject: str, amount: int | float) -> None:
    """Raise what the refusal of an addition means, if it is about numbers.

    `CounterOverflow` if the sum, or the amount itself, is out of range; `NotANumber` if
    what is stored is no number. Returns if the refusal has another reason.
    """
    check_refused_sum(str(refusal), subject, amount, refusal)


def check_refused_sum(
    reason: str, subject: str, amount: int | float, cause: Exception | None = None
) -> None:
    """The same, for the text of a refusal."""
    is_too_large = isinstance(amount, int) and not LEAST <= amount <= MOST
    if is_too_large or "overflow" in reason or "NaN or Infinity" in reason:
        limit = "a float" if isinstance(amount, float) else "64 bits"
        raise CounterOverflow(
            f"adding {amount} would take {subject} out of the range of {limit}; "
            f"nothing was changed"
        ) from cause
    if "not an integer" in reason or "not a valid float" in reason:
        wanted = "a number" if isinstance(amount, float) else "a whole number of 64 bits"
        raise NotANumber(
            f"expected {subject} to hold {wanted}, to which {amount} can be added; "
            f"it holds something else. Nothing was changed"
        ) from cause

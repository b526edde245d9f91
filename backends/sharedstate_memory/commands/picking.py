"""Elements at random, as counts of commands ask for them."""

from __future__ import annotations

from sharedstate_memory.commands.arguments import INTEGER_MAX, parse_integer
from sharedstate_memory.replies import CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from sharedstate_memory.draws import Draws

# A negative count asks for as many elements as it says, however few there are. Redis
# would go on for ever; here one command may not take the machine's memory.
MAX_REPEATED = 2**18

_OUT_OF_RANGE = b"ERR value is out of range"
_BEYOND = (
    b"ERR value is out of range, value must between -9223372036854775807 and"
    b" 9223372036854775807"
)


def read_count(text: bytes) -> int:
    """A count as an argument."""
    count = parse_integer(text)
    if count < -INTEGER_MAX:
        raise CommandFailure(_BEYOND)
    return count


def check_doubled(count: int) -> None:
    """Refuse a count if the reply, with two parts for each element, could not be."""
    if abs(count) > INTEGER_MAX // 2:
        raise CommandFailure(_OUT_OF_RANGE)


def pick(draws: Draws, elements: Collection[bytes], count: int) -> list[bytes]:
    """So many different elements; if the count is negative, some may be the same."""
    if count >= 0:
        return draws.different(elements, count)
    if elements and -count > MAX_REPEATED:
        raise CommandFailure(_OUT_OF_RANGE)
    return draws.repeated(elements, -count)

"""LOLWUT: a picture, different each time, and the version.

Two stones fall into water. Where the rings of both add up it is bright, where they
cancel each other it is dark.
"""

from __future__ import annotations

from math import cos, hypot

from sharedstate_memory.commands.arguments import parse_integer
from sharedstate_memory.commands.registry import command
from sharedstate_memory.replies import Verbatim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

_SHADES = " .:-=+*#%@"

_USUAL_COLUMNS = 66
_MOST_COLUMNS = 160
_USUAL_ROWS = 20
_MOST_ROWS = 60

# A number of more digits is beyond the most, whatever they are.
_ENOUGH_DIGITS = 18

# How many numbers the pictures of Redis's versions take. They are checked, for the sake of
# clients; ours has two.
_NUMBERS_TAKEN = {5: 3, 6: 2}

# Letters are about twice as high as they are wide.
_ASPECT = 2.0


@command("LOLWUT")
def lolwut(session: Session, argv: list[bytes]) -> Reply:
    """A picture: `LOLWUT [VERSION version] [columns [rows]]`."""
    engine = session.engine
    words = argv[1:]
    if len(words) > 1 and words[0].upper() == b"VERSION":
        version, words = parse_integer(words[1]), words[2:]
        for word in words[: _NUMBERS_TAKEN.get(version, 0)]:
            parse_integer(word)
    columns = _read(words[:1], _USUAL_COLUMNS, _MOST_COLUMNS)
    rows = _read(words[1:2], _USUAL_ROWS, _MOST_ROWS)
    chance = engine.random.random
    stones = [(columns * chance(), rows * chance(), 0.5 + 0.5 * chance()) for _ in range(2)]
    picture = "".join(
        "".join(_shade(stones, column, row) for column in range(columns)) + "\n"
        for row in range(rows)
    )
    title = f"\nTwo stones in the water. Redis ver. {engine.redis_version}\n"
    return Verbatim((picture + title).encode())


def _read(words: list[bytes], usual: int, most: int) -> int:
    if not words or not words[0].isdigit():
        return usual
    digits = words[0].lstrip(b"0")[:_ENOUGH_DIGITS]
    return min(max(int(digits or b"0"), 1), most)


def _shade(stones: list[tuple[float, float, float]], column: int, row: int) -> str:
    height = sum(
        cos(step * hypot(column - x, _ASPECT * (row - y))) for x, y, step in stones
    )
    # From -2 … 2 to 0 … 1.
    brightness = (height + 2) / 4
    return _SHADES[min(int(brightness * len(_SHADES)), len(_SHADES) - 1)]

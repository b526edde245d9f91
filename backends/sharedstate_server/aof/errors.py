"""What is wrong with a log on disk: in which file, where, and what to do about it."""

from __future__ import annotations

PUT_BACK = (
    "Cutting cannot repair this, nor can `sharedstate check --fix`: put the file back from"
    " a backup of the whole folder"
)


class AofError(ValueError):
    """A log that cannot be loaded as it is. That a file may not be read is no such error,
    but an `OSError`.

    `path` is the file, and `offset` the byte at which what is wrong begins; None where a
    place would say nothing. `reason` is what is wrong, and `advice` what to do: if nothing
    is passed, cutting at the place, or a backup if there is no place.
    """

    def __init__(
        self, path: str, reason: str, *, offset: int | None = None, advice: str = ""
    ) -> None:
        self.path = path
        self.reason = reason
        self.offset = offset
        self.advice = advice or (PUT_BACK if offset is None else _cut_advice(path))
        place = "" if offset is None else f" at byte {offset}"
        super().__init__(f"{path}{place}: {reason}. {self.advice}")


def _cut_advice(path: str) -> str:
    return (
        f"`sharedstate check {path}` tells more; with --fix it repairs the log, and shows"
        " first what would be lost by it"
    )


def snapshot_advice(path: str) -> str:
    """What to do about a base that is a damaged snapshot."""
    return (
        "Put the file back from a backup of the whole folder. If there is none:"
        f" `sharedstate check {path} --fix` writes what can be read of it to a new file,"
        " and leaves the log as it is"
    )

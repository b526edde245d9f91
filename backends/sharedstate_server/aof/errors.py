"""What is wrong with a log on disk: in which file, where, and what to do about it."""

from __future__ import annotations


class AofError(ValueError):
    """A log that cannot be loaded as it is.

    `path` is the file, and `offset` the byte at which what is wrong begins; None where a
    place would say nothing. `reason` is what is wrong, and `advice` what to do.
    """

    def __init__(
        self, path: str, reason: str, *, offset: int | None = None, advice: str = ""
    ) -> None:
        self.path = path
        self.reason = reason
        self.offset = offset
        self.advice = advice or (
            f"`sharedstate check {path}` tells more; with --fix it repairs the log, and"
            " shows first what would be lost by it"
        )
        place = "" if offset is None else f" at byte {offset}"
        super().__init__(f"{path}{place}: {reason}. {self.advice}")

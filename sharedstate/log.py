"""Loggers: under `sharedstate`, and silent unless the program configures logging.

`logging` is imported with the first logger that is needed, not when a program starts.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging


def get_logger(subject: str) -> logging.Logger:
    """The logger `sharedstate.<subject>`."""
    import logging

    root = logging.getLogger("sharedstate")
    if not root.handlers:
        # Without a handler, Python would print our warnings to standard error.
        root.addHandler(logging.NullHandler())
    return root.getChild(subject)

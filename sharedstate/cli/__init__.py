"""The `sharedstate` command. Its libraries come with the extra `cli`."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments`, by default the process's. Returns its exit code."""
    for package in ("click", "rich"):
        if find_spec(package) is None:
            sys.stderr.write(
                f"sharedstate: the command needs the package {package}, which is not "
                'installed: pip install "sharedstate[cli]"\n'
            )
            return 2
    from sharedstate.cli.app import run

    return run(arguments)

"""`sharedstate serve`: the built-in server in the foreground."""

from __future__ import annotations

import importlib
from typing import Any

import click

# The framework imports no backend: it is asked for by name when a server is wanted. The
# server's own command knows its options, their checks and its exit codes.
_SERVER = "sharedstate_server.__main__"


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def serve(options: tuple[str, ...]) -> int:
    """Run the built-in server, until SIGTERM or Ctrl-C."""
    server: Any = importlib.import_module(_SERVER)
    try:
        code: int = server.main(list(options))
    except SystemExit as end:
        # Its parser of arguments ends like this, after --help or a mistake.
        return end.code if isinstance(end.code, int) else 2
    return code

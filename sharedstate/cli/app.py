"""The command and its subcommands, and how their errors become exit codes."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from sharedstate import __version__
from sharedstate.cli import exits
from sharedstate.cli.config import config
from sharedstate.cli.demo import demo
from sharedstate.cli.files import check, dump, restore
from sharedstate.cli.ping import ping
from sharedstate.cli.plugins import plugins
from sharedstate.cli.serve import serve
from sharedstate.cli.store import store_options
from sharedstate.cli.structures import delete, get, list_names, set_value
from sharedstate.errors import SharedStateError

if TYPE_CHECKING:
    from collections.abc import Sequence

# How click ends a command whose output cannot be written, in every mode of its own.
_READER_GONE = 1


@click.group(
    name="sharedstate",
    epilog=f"\b\nExit codes:\n{exits.describe()}",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="sharedstate")
@store_options
def application() -> None:
    """Share state between processes: maps, counters, queues and locks by name.

    The store is named by --url, or by the environment variable SHAREDSTATE_URL, or by
    the file sharedstate.toml. `sharedstate config show` tells what counts, and why.
    """


for _command in (
    *(config, delete, demo, get, list_names, ping, plugins, serve, set_value),
    *(check, dump, restore),
):
    application.add_command(_command)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line. Returns its exit code; errors are one message on stderr."""
    given = None if arguments is None else list(arguments)
    try:
        result = application.main(given, prog_name="sharedstate", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return exits.INTERRUPTED
    except SystemExit as end:
        if end.code != _READER_GONE:
            raise  # SIGTERM, in a command that runs a pool.
        return _close_quietly()
    except (SharedStateError, exits.NotFound, exits.Failed) as error:
        click.echo(f"sharedstate: {error}", err=True)
        return exits.code_for(error)
    # A command returns its code, or nothing for success.
    return result if isinstance(result, int) else exits.OK


def _close_quietly() -> int:
    """The reader of our output (`head`, a pager) has seen enough, which is no failure.

    What is still in the buffer goes nowhere, or Python would complain at its end.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return exits.OK

"""`sharedstate ping`: is the store there, and how far away is it?"""

from __future__ import annotations

from statistics import median

import click

from sharedstate.cli import output
from sharedstate.cli.store import Choice, pass_choice, store_options


@click.command()
@click.option("--count", default=5, show_default=True, type=click.IntRange(1, 10_000))
@store_options
@pass_choice
def ping(choice: Choice, count: int) -> None:
    """Ask the store for a sign of life, and time it."""
    with choice.connect() as state:
        times = [state.ping() for _ in range(count)]
        where = state.describe()
    middle = median(times) * 1e3
    if choice.json:
        output.write_json({"url": where, "count": count, "median_ms": round(middle, 4)})
    else:
        click.echo(f"{where} answered {count} times, in {middle:.3f} ms (median)")

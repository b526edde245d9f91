"""`sharedstate demo`: index a real body of text with a pool of processes.

The parent feeds the queue, watches, and judges. It never waits for the queue to be
worked off, which a dead worker may prevent, but for the workers to end, which they
always do.
"""

from __future__ import annotations

import secrets
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sharedstate.cli.store import Choice, pass_choice, store_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharedstate.cli.demo_report import Run
    from sharedstate.state import State


@click.command()
@click.argument("path", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--workers", type=click.IntRange(1, 512), help="Default: one for each core.")
@click.option(
    "--verify/--no-verify",
    help="Compare with the result of a single process.",
    default=False,
)
@click.option("--top", type=click.IntRange(0), default=10, show_default=True)
@store_options
@pass_choice
def demo(
    choice: Choice, path: Path | None, workers: int | None, verify: bool, top: int
) -> int:
    """Count the identifiers of a folder with many processes.

    PATH is a folder or a file; without it, the source of Python's standard library is
    indexed. A queue hands the files to the workers, a map collects the counts, counters
    watch, and a lock guards the report. Everything is deleted from the store at the end.

    The exit code is 1 if files are missing from the result, a worker died, or --verify
    found a difference.
    """
    from sharedstate.cli import demo_report
    from sharedstate.cli.corpus import find_files

    paths = find_files(path)
    with _fresh_state(choice) as state:
        run = _index(state, paths, workers)
    outcome = demo_report.judge(run, verify=verify)
    demo_report.write(outcome, top=top, as_json=choice.json)
    return outcome.exit_code


@contextmanager
def _fresh_state(choice: Choice) -> Iterator[State]:
    """The chosen store, with a namespace of its own, which is empty again afterwards."""
    from sharedstate.state import State

    settings = choice.settings()
    namespace = f"{settings.namespace or 'sharedstate'}-demo-{secrets.token_hex(4)}"
    with State.open(settings.replaced(namespace=namespace)) as state:
        try:
            yield state
        finally:
            for kind, name in list(state.names()):
                state.delete(kind, name)


def _index(state: State, paths: list[str], workers: int | None) -> Run:
    """Run the pool to its end, whatever becomes of its workers."""
    from sharedstate.cli.demo_report import Run
    from sharedstate.cli.indexing import Index, work
    from sharedstate.cli.progress import watch
    from sharedstate.errors import WorkerError
    from sharedstate.pool import WorkerPool, usable_cores

    index = Index(state)
    index.feed(paths)
    count = workers or usable_cores()
    started = time.perf_counter()
    failure = None
    # As many replacements as workers: one blow that kills all of them is survived, and
    # what kills every worker again and again is not repeated for long.
    with WorkerPool(state, work, count, restarts=count) as pool:
        watch(pool, lambda: index.files.value + index.errors.value, len(paths))
        try:
            pool.join()
        except WorkerError as error:
            failure = str(error)
    seconds = time.perf_counter() - started
    return Run(
        paths=paths,
        workers=count,
        seconds=seconds,
        deaths=[each for each in pool.exits if each.failed],
        failure=failure,
        result=index.read(),
    )

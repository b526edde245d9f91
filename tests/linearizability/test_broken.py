"""A run can fail: clients and stores that are broken in one way each are found out."""

from __future__ import annotations

from pathlib import Path

import pytest

import sharedstate
from sharedstate.testing.servers import BuiltInServer
from tests.linearizability.harness import NotLinearizable, Run, ThreadRun
from tests.linearizability.test_runs import restart

BROKEN = [
    ("LosingCounter", "counter", "counter"),
    ("BlindSwap", "map", "map"),
    ("TwiceGot", "queue", "queue"),
    ("IgnoredLease", "lock", "lock"),
    ("EverybodysLock", "lock", "lock"),
    ("Unfenced", "lock", "fence"),
    ("WritingReaders", "rwlock", "rwlock"),
    ("TooManyPermits", "semaphore", "semaphore"),
]


@pytest.mark.parametrize(("client", "kind", "told"), BROKEN)
def test_a_broken_client_is_found_out(
    built_in_server: BuiltInServer, tmp_path: Path, client: str, kind: str, told: str
) -> None:
    url = built_in_server.url
    with Run(url, tmp_path, client=client, kinds=(kind,), seconds=1.5) as run:
        pass
    assert f"no order explains the answers of {told} " in run.assert_rejected()
    with pytest.raises(NotLinearizable, match="seed"):
        run.assert_linearizable()


def test_a_broken_client_of_threads_is_found_out(tmp_path: Path) -> None:
    with (
        sharedstate.connect("memory://") as state,
        ThreadRun(state, tmp_path, client="LosingCounter", kinds=("counter",)) as run,
    ):
        pass
    assert "counter" in run.assert_rejected()


def test_a_server_that_forgets_what_it_acknowledged_is_found_out(tmp_path: Path) -> None:
    with BuiltInServer() as server:
        with Run(server.url, tmp_path, kinds=("map", "counter", "queue")) as run:
            restart(server, run)
        assert "no order explains" in run.assert_rejected()


def test_a_run_in_which_nothing_happened_means_nothing(
    built_in_server: BuiltInServer, tmp_path: Path
) -> None:
    with Run(built_in_server.url, tmp_path, seconds=0.0, least=0) as run:
        pass
    with pytest.raises(AssertionError, match="'map': "):
        run.assert_linearizable()

"""Owners: unique, described, and others after a fork."""

from __future__ import annotations

import json
import os
import threading
import time

from sharedstate.identity import as_of_now, new_owner, process_salt
from sharedstate.locking import Owner
from sharedstate.testing.background import SECONDS, in_background
from sharedstate.testing.processes import run_in_workers


def test_each_acquisition_has_its_own_nonce() -> None:
    owners = [new_owner("t", "k") for _ in range(100)]
    assert len({owner.nonce for owner in owners}) == 100
    assert len({owner.identity for owner in owners}) == 1


def test_each_thread_has_its_own_identity() -> None:
    other = in_background(lambda: new_owner("t", "k")).result(SECONDS)
    assert other.identity != new_owner("t", "k").identity


def test_an_owner_is_described_as_json() -> None:
    described = json.loads(new_owner("t", "k").description)
    assert described["host"] == os.uname().nodename
    assert described["pid"] == os.getpid()
    assert described["thread"] == threading.current_thread().name
    assert abs(described["since"] - time.time()) < SECONDS


def test_an_owner_who_waited_is_described_anew() -> None:
    before = Owner("here", "1", '{"host":"a:b","since":12.5}')
    after = as_of_now(before)
    assert (after.identity, after.nonce) == ("here", "1")
    described = json.loads(after.description)
    assert described["host"] == "a:b"
    assert described["since"] > 12.5


def test_a_forked_child_is_somebody_else() -> None:
    ours = new_owner(process_salt(), "k")
    ((identity, nonce),) = run_in_workers(introduce, method="fork")
    assert identity[:16] != ours.identity[:16]
    assert nonce[:16] != ours.nonce[:16]
    assert identity[:16] == nonce[:16]
    assert new_owner(process_salt(), "k").identity == ours.identity


def introduce() -> tuple[str, str]:
    """The owner that a child is."""
    owner = new_owner(process_salt(), "k")
    return owner.identity, owner.nonce

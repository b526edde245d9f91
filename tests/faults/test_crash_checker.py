"""The checker of crash tests: it accepts what may be, and finds what must not be."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest

from tests.faults.crash_checker import BrokenPromise, Verdict, Worker, check
from tests.faults.journal import Notes
from tests.faults.sequences import KINDS, Model

STEP_SECONDS = 0.01
CRASH = 100.0


def state_after(steps: int, kind: str = "commands") -> dict[str, Any]:
    """What a store holds that has kept so many steps."""
    model = Model(kind)
    model.advance(steps)
    return model.copy().state


def notes_of(acknowledged: int, sent: int | None = None, *, end: float = CRASH) -> Notes:
    """A worker that took a step every `STEP_SECONDS`, the last one at `end`."""
    sent = acknowledged if sent is None else sent

    def moment(step: int) -> float:
        return end - (acknowledged - step) * STEP_SECONDS

    return Notes(
        sent={step: moment(step) for step in range(sent)},
        acknowledged={
            step: moment(step) + STEP_SECONDS / 2 for step in range(acknowledged)
        },
    )


def worker(
    observed: dict[str, Any],
    notes: Notes,
    *,
    name: str = "a",
    kind: str = "commands",
    base: int = 0,
) -> Worker:
    model = Model(kind)
    model.advance(base)
    return Worker(name, model, notes, observed)


def verdict_on(observed: dict[str, Any], notes: Notes, policy: str = "always") -> Verdict:
    return check([worker(observed, notes)], policy, CRASH)


@pytest.mark.parametrize("kind", KINDS)
def test_every_step_leads_to_a_state_that_never_was(kind: str) -> None:
    states: list[str] = []
    model = Model(kind)
    for _ in range(2000):
        states.append(repr(sorted(model.state.items())))
        model.step()
    assert len(set(states)) == len(states)


def test_all_that_was_acknowledged_and_nothing_more_is_fine() -> None:
    verdict = verdict_on(state_after(500), notes_of(500))
    assert verdict == Verdict(kept={"a": 500}, lost=0, in_doubt=0, in_doubt_kept=0)


@pytest.mark.parametrize("kept", [500, 507, 516])
def test_what_was_sent_and_not_answered_may_be_there_or_not(kept: int) -> None:
    verdict = verdict_on(state_after(kept), notes_of(500, 516))
    assert (verdict.in_doubt, verdict.in_doubt_kept) == (16, kept - 500)


def test_a_check_goes_on_from_the_state_of_the_last_one() -> None:
    verdict = check([worker(state_after(500), notes_of(500), base=400)], "always", CRASH)
    assert verdict.kept == {"a": 500}


def test_one_acknowledged_step_less_is_a_loss_under_always() -> None:
    with pytest.raises(BrokenPromise, match="1 acknowledged steps are lost"):
        verdict_on(state_after(499), notes_of(500))


def test_what_the_last_check_had_seen_must_not_go_under_always() -> None:
    with pytest.raises(BrokenPromise, match="lost"):
        check([worker(state_after(399), notes_of(500), base=400)], "always", CRASH)


def test_a_step_that_nobody_sent_is_found() -> None:
    with pytest.raises(BrokenPromise, match="no prefix"):
        verdict_on(state_after(501), notes_of(500))


def test_a_value_from_nobody_is_found() -> None:
    observed = state_after(500)
    observed["hash"]["7"] = 123_456
    with pytest.raises(BrokenPromise, match="123456"):
        verdict_on(observed, notes_of(500))


def test_a_key_from_nobody_is_found() -> None:
    with pytest.raises(BrokenPromise, match="extra"):
        verdict_on({**state_after(500), "extra": 1}, notes_of(500))


def test_a_change_that_was_made_twice_is_found() -> None:
    observed = state_after(500)
    observed["total"] += 1
    with pytest.raises(BrokenPromise, match="total"):
        verdict_on(observed, notes_of(500))


def test_an_item_that_is_there_twice_is_found() -> None:
    observed = state_after(500)
    observed["list"].append(observed["list"][-1])
    with pytest.raises(BrokenPromise, match="list"):
        verdict_on(observed, notes_of(500))


def test_items_in_another_order_are_found() -> None:
    observed = state_after(500)
    observed["list"] = deque(reversed(observed["list"]))
    with pytest.raises(BrokenPromise, match="list"):
        verdict_on(observed, notes_of(500))


def test_an_item_that_was_taken_and_is_back_is_found() -> None:
    observed = state_after(500)
    observed["list"].appendleft(observed["list"][0] - 8)
    with pytest.raises(BrokenPromise, match="list"):
        verdict_on(observed, notes_of(500))


@pytest.mark.parametrize("policy", ["always", "everysec", "no"])
def test_a_hole_in_the_steps_of_a_worker_is_found(policy: str) -> None:
    observed = state_after(500)
    del observed["hash"]["61"]
    with pytest.raises(BrokenPromise, match="hash"):
        verdict_on(observed, notes_of(500), policy)


@pytest.mark.parametrize("policy", ["always", "everysec", "no"])
def test_half_a_transaction_is_found(policy: str) -> None:
    observed = state_after(500, "transactions")
    observed["left"] = 500
    notes = notes_of(500, 501)
    with pytest.raises(BrokenPromise, match="left"):
        check([worker(observed, notes, kind="transactions")], policy, CRASH)


def test_an_empty_store_is_a_loss() -> None:
    with pytest.raises(BrokenPromise, match="500 acknowledged steps are lost"):
        verdict_on({}, notes_of(500))


def test_the_last_two_seconds_may_be_lost_under_everysec() -> None:
    verdict = verdict_on(state_after(310), notes_of(500), "everysec")
    assert (verdict.kept, verdict.lost) == ({"a": 310}, 190)


def test_more_than_two_seconds_must_not_be_lost_under_everysec() -> None:
    with pytest.raises(BrokenPromise, match=r"lost under 'everysec': the oldest, step 280"):
        verdict_on(state_after(280), notes_of(500), "everysec")


def test_a_hole_across_workers_is_found() -> None:
    kept = worker(state_after(500), notes_of(500), name="b")
    short = worker(state_after(490), notes_of(500))
    with pytest.raises(BrokenPromise, match="a hole: step 490 of a is lost"):
        check([short, kept], "everysec", CRASH)


def test_workers_may_be_cut_off_at_the_same_moment() -> None:
    workers = [worker(state_after(490), notes_of(500), name=name) for name in "ab"]
    assert check(workers, "everysec", CRASH).lost == 20


def test_an_old_loss_without_holes_is_fine_where_nothing_is_promised() -> None:
    assert verdict_on(state_after(0), notes_of(500), "no").lost == 500

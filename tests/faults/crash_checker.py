"""The check after a crash: is what the store holds what it promised?

For each worker, the store must hold the state after some number of its steps: a prefix of
what was sent, with nothing missing in between, nothing twice and nothing that nobody sent.
Steps behind the prefix that had been acknowledged are lost, and the policy says whether
that is allowed:

    always        none
    everysec      what was acknowledged in the last two seconds before the crash; and over
                  all workers no holes: nothing that is there was sent after something lost
                  had been acknowledged
    no            as long ago as you like, but no holes either

A step that was sent and not acknowledged may be there or not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.faults.journal import Notes
from tests.faults.sequences import Model

LOSS_SECONDS = 2.0
"""What `everysec` may lose: one second, and one more while a slow fsync is waited for."""

# Processes note a time shortly before or after what they note.
_CLOCK_SECONDS = 0.05


class BrokenPromise(AssertionError):
    """The store does not hold what it promised."""


@dataclass(frozen=True)
class Worker:
    """What is known of a worker at a crash."""

    name: str
    base: Model
    """The state that was checked last: the steps before it are in the store's files."""
    notes: Notes
    observed: Mapping[str, Any]
    """What the store holds after the crash."""


@dataclass(frozen=True)
class Verdict:
    """What a crash has cost."""

    kept: dict[str, int]
    """For each worker, how many steps the store holds."""
    lost: int
    """Acknowledged steps that are gone, within what the policy allows."""
    in_doubt: int
    """Steps that were sent and not acknowledged."""
    in_doubt_kept: int
    """… and are there nevertheless."""


def check(workers: Sequence[Worker], policy: str, crashed_at: float) -> Verdict:
    """Raises `BrokenPromise`, which says what is missing, twice, or from nobody."""
    kept = {worker.name: count_kept(worker) for worker in workers}
    lost = [
        (worker.name, step, moment)
        for worker in workers
        for step, moment in worker.notes.acknowledged.items()
        if step >= kept[worker.name]
    ]
    if lost:
        _check_lost(lost, policy, crashed_at)
        _check_order(workers, kept, min(lost, key=lambda each: each[2]))
    return Verdict(
        kept=kept,
        lost=len(lost),
        in_doubt=sum(_in_doubt(worker) for worker in workers),
        in_doubt_kept=sum(
            max(0, kept[worker.name] - worker.notes.acknowledged_count)
            for worker in workers
        ),
    )


def count_kept(worker: Worker) -> int:
    """How many of the worker's steps the store holds. Raises `BrokenPromise` if it holds
    what is no prefix of them.
    """
    sent = max(worker.notes.sent_count, worker.base.steps)
    for base in (worker.base.copy(), Model(worker.base.kind)):
        while True:
            if base.state == worker.observed:
                return base.steps
            if base.steps >= sent:
                break
            base.step()
    raise BrokenPromise(_describe(worker, sent))


def _check_lost(
    lost: Sequence[tuple[str, int, float]], policy: str, crashed_at: float
) -> None:
    name, step, moment = min(lost, key=lambda each: each[2])
    age = crashed_at - moment
    allowed = {"always": 0.0, "everysec": LOSS_SECONDS, "no": float("inf")}[policy]
    if not allowed or age > allowed + _CLOCK_SECONDS:
        raise BrokenPromise(
            f"{len(lost)} acknowledged steps are lost under {policy!r}: the oldest, step "
            f"{step} of {name}, was acknowledged {age:.3f} s before the crash"
        )


def _check_order(
    workers: Sequence[Worker], kept: Mapping[str, int], first_lost: tuple[str, int, float]
) -> None:
    """What is there must have been sent before the first lost one was acknowledged."""
    lost_name, lost_step, lost_at = first_lost
    for worker in workers:
        for step, moment in worker.notes.sent.items():
            if step < kept[worker.name] and moment > lost_at:
                raise BrokenPromise(
                    f"a hole: step {lost_step} of {lost_name} is lost, and step {step} of "
                    f"{worker.name} is there, which was sent {moment - lost_at:.6f} s "
                    f"after that one had been acknowledged"
                )


def _in_doubt(worker: Worker) -> int:
    return max(0, worker.notes.sent_count - worker.notes.acknowledged_count)


def _describe(worker: Worker, sent: int) -> str:
    """What differs from the state after all steps, and from the one after those that were
    acknowledged, whichever is nearer.
    """
    nearest: dict[str, tuple[Any, Any]] | None = None
    steps = 0
    model = Model(worker.base.kind)
    while True:
        differing = _differences(model.state, worker.observed)
        if nearest is None or len(differing) <= len(nearest):
            nearest, steps = differing, model.steps
        if model.steps >= sent:
            break
        model.step()
    parts = "; ".join(
        f"{name}: expected {wanted!r:.300}, got {got!r:.300}"
        for name, (wanted, got) in nearest.items()
    )
    return (
        f"what the store holds of {worker.name} is no prefix of the {sent} steps that it "
        f"sent, {worker.notes.acknowledged_count} of them acknowledged: nearest is the "
        f"state after {steps}, but {parts}"
    )


def _differences(
    wanted: Mapping[str, Any], got: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    names = {*wanted, *got}
    return {
        name: (wanted.get(name), got.get(name))
        for name in sorted(names)
        if wanted.get(name) != got.get(name)
    }

"""What `Once` must do on every backend."""

from __future__ import annotations

import pickle
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from sharedstate.backend import Capability
from sharedstate.errors import (
    ConfigError,
    DeadlockError,
    LockLost,
    LockTimeout,
    NotDone,
    RunFailed,
    SerializationError,
)
from sharedstate.testing.background import (
    SECONDS,
    Interrupted,
    in_background,
    interrupted_in,
    wait_until,
)
from sharedstate.testing.lock_lease_suite import BRIEF

if TYPE_CHECKING:
    from sharedstate.state import State
    from sharedstate.structures.once import Once

SHORT = 0.05


class Work:
    """A function that counts its runs, and waits to be told how it ends."""

    def __init__(self) -> None:
        self.runs = 0
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.error: BaseException | None = None

    def __call__(self, value: Any = "done") -> Any:
        self.runs += 1
        self.begun.set()
        assert self.go_on.wait(SECONDS)
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return value

    @classmethod
    def that_ends(cls) -> Work:
        """One that does not wait."""
        work = cls()
        work.go_on.set()
        return work


def keys_left(once: Once) -> set[str]:
    """The parts that are on the store and should not stay."""
    context = once._context
    return {
        part
        for part in ("owner", "line", "waiters")
        if context.backend.execute(("EXISTS", context.key(part))) == 1
    }


class OnceResults:
    """One runs it, and all have the result."""

    def test_it_runs_once(self, shared_state: State) -> None:
        work = Work.that_ends()
        assert shared_state.once("a").run(work, "first") == "first"
        assert shared_state.once("a").run(work, "second") == "first"
        assert work.runs == 1

    @pytest.mark.parametrize("value", [None, 0, -7, "", {"x": [1, 2.5]}, True])
    def test_the_result_may_be_any_value(self, shared_state: State, value: Any) -> None:
        once = shared_state.once("a")
        assert once.run(lambda: value) == value
        assert shared_state.once("a").result() == value
        assert type(once.result()) is type(value)

    def test_names_are_apart(self, shared_state: State) -> None:
        assert shared_state.once("a").run(lambda: 1) == 1
        assert shared_state.once("b").run(lambda: 2) == 2

    def test_it_tells_whether_it_is_done(self, shared_state: State) -> None:
        once = shared_state.once("a")
        assert not once.done()
        with pytest.raises(NotDone, match="'a' has no result") as caught:
            once.result()
        assert isinstance(caught.value, LookupError)
        once.run(lambda: 5)
        assert (once.done(), once.result()) == (True, 5)

    def test_it_can_be_reset(self, shared_state: State) -> None:
        once, work = shared_state.once("a"), Work.that_ends()
        assert not once.reset()
        once.run(work, 1)
        assert once.reset()
        assert not once.done()
        assert once.run(work, 2) == 2

    def test_the_others_wait_for_the_result(self, shared_state: State) -> None:
        work, other = Work(), Work.that_ends()
        running = in_background(partial(shared_state.once("a").run, work, {"x": 1}))
        assert work.begun.wait(SECONDS)
        waiting = [
            in_background(partial(shared_state.once("a").run, other)) for _ in range(4)
        ]
        wait_until(lambda: shared_state.once("a").info().waiters == 4)
        work.go_on.set()
        for future in (running, *waiting):
            assert future.result(SECONDS) == {"x": 1}
        assert (work.runs, other.runs) == (1, 0)
        assert keys_left(shared_state.once("a")) == set()

    def test_it_decorates_a_function(self, shared_state: State) -> None:
        calls = []

        @shared_state.once("a")
        def add(one: int, *, two: int) -> int:
            """Add."""
            calls.append((one, two))
            return one + two

        assert (add.__name__, add.__doc__) == ("add", "Add.")
        assert [add(1, two=2), add(5, two=6)] == [3, 3]
        assert calls == [(1, 2)]

    def test_a_result_may_be_kept_for_a_time(self, shared_state: State) -> None:
        once, work = shared_state.once("a", result_ttl=BRIEF), Work.that_ends()
        assert once.run(work, 1) == 1
        wait_until(lambda: not once.done())
        assert once.run(work, 2) == 2

    def test_a_copy_of_a_handle_is_the_same(self, shared_state: State) -> None:
        if Capability.PROCESSES not in shared_state.capabilities:
            pytest.skip("the backend lives in this process only, and so do its handles")
        once = shared_state.once("a", keep_failures=True, result_ttl=100)
        copy = pickle.loads(pickle.dumps(once))
        copy.run(lambda: 5)
        assert once.result() == 5

    def test_a_reset_does_not_disturb_a_run(self, shared_state: State) -> None:
        once, work = shared_state.once("a"), Work()
        running = in_background(partial(once.run, work))
        assert work.begun.wait(SECONDS)
        assert not once.reset()
        work.go_on.set()
        assert running.result(SECONDS) == once.result() == "done"

    def test_wrong_options_are_errors(self, shared_state: State) -> None:
        with pytest.raises(ConfigError, match="expected a ttl"):
            shared_state.once("a", ttl=0)
        with pytest.raises(ConfigError, match="expected a result_ttl"):
            shared_state.once("a", result_ttl=0)
        with pytest.raises(ConfigError, match="no option tll"):
            shared_state.structure("once", "a", tll=3)


class OnceFailures:
    """What raises, is interrupted, or does not end."""

    def test_an_error_is_raised_and_the_next_may_run_it(self, shared_state: State) -> None:
        once, work = shared_state.once("a"), Work.that_ends()
        work.error = KeyError("mine")
        with pytest.raises(KeyError, match="mine"):
            once.run(work)
        assert (once.done(), keys_left(once)) == (False, set())
        assert once.run(work) == "done"

    def test_one_who_waits_runs_what_failed(self, shared_state: State) -> None:
        work = Work()
        work.error = KeyError("mine")
        running = in_background(partial(shared_state.once("a").run, work, 1))
        assert work.begun.wait(SECONDS)
        waiting = []
        for number in (2, 3):
            once = shared_state.once("a")
            waiting.append(in_background(partial(once.run, work, number)))
            wait_until(lambda: once.info().waiters == len(waiting))  # noqa: B023
        work.go_on.set()
        with pytest.raises(KeyError):
            running.result(SECONDS)
        assert [future.result(SECONDS) for future in waiting] == [2, 2]
        assert work.runs == 2

    def test_a_failure_may_be_kept(self, shared_state: State) -> None:
        once = shared_state.once("a", keep_failures=True)
        work = Work.that_ends()
        work.error = KeyError("mine")
        with pytest.raises(KeyError):
            once.run(work)
        for ask in (partial(once.run, work), once.result):
            with pytest.raises(RunFailed, match=r"failed with .*KeyError") as caught:
                ask()
            error = pickle.loads(pickle.dumps(caught.value))
            assert (error.error_type, error.reason) == ("builtins.KeyError", "'mine'")
        assert (once.done(), work.runs) == (True, 1)
        assert once.reset()
        assert once.run(work) == "done"

    def test_those_who_wait_are_told_of_a_kept_failure(self, shared_state: State) -> None:
        work = Work()
        work.error = KeyError("mine")
        run = shared_state.once("a", keep_failures=True).run
        running = in_background(partial(run, work))
        assert work.begun.wait(SECONDS)
        waiting = in_background(partial(run, work))
        wait_until(lambda: shared_state.once("a").info().waiters == 1)
        work.go_on.set()
        with pytest.raises(KeyError):
            running.result(SECONDS)
        with pytest.raises(RunFailed):
            waiting.result(SECONDS)

    def test_a_result_that_cannot_be_shared_is_a_failure(self, shared_state: State) -> None:
        once = shared_state.once("a")
        with pytest.raises(SerializationError):
            once.run(object)
        assert (once.done(), keys_left(once)) == (False, set())

    def test_an_interrupted_run_is_left_to_the_next(self, shared_state: State) -> None:
        once, work = shared_state.once("a", keep_failures=True), Work()
        with pytest.raises(Interrupted), interrupted_in("__call__"):
            once.run(work)
        assert (once.done(), keys_left(once)) == (False, set())
        work.go_on.set()
        assert once.run(work) == "done"

    def test_an_interrupted_waiter_leaves_nothing_behind(self, shared_state: State) -> None:
        once, work = shared_state.once("a"), Work()
        running = in_background(partial(once.run, work))
        assert work.begun.wait(SECONDS)
        with pytest.raises(Interrupted), interrupted_in("wait_in_line"):
            shared_state.once("a").run(work)
        assert once.info().waiters == 0
        work.go_on.set()
        assert running.result(SECONDS) == "done"
        assert keys_left(once) == set()

    def test_waiting_has_an_end_that_names_who_runs_it(self, shared_state: State) -> None:
        once, work = shared_state.once("a"), Work()
        running = in_background(partial(once.run, work))
        assert work.begun.wait(SECONDS)
        started = time.monotonic()
        with pytest.raises(LockTimeout, match=r"within 0.05 s; it is run by pid \d+"):
            shared_state.once("a").run(work, timeout=SHORT)
        assert time.monotonic() - started >= SHORT - 0.002
        with pytest.raises(LockTimeout):
            shared_state.once("a").run(work, timeout=0)
        assert once.info().waiters == 0
        work.go_on.set()
        running.result(SECONDS)
        assert once.run(work, timeout=0) == "done"

    def test_a_function_that_runs_its_own_name_is_an_error(
        self, shared_state: State
    ) -> None:
        once = shared_state.once("a")
        with pytest.raises(DeadlockError, match="wait for itself"):
            once.run(lambda: shared_state.once("a").run(lambda: 1))
        assert once.run(lambda: shared_state.once("b").run(lambda: 2)) == 2

    def test_who_was_overtaken_does_not_overwrite_the_result(
        self, shared_state: State
    ) -> None:
        once, late = shared_state.once("a", ttl=20), Work()
        running = in_background(partial(once.run, late, "late"))
        assert late.begun.wait(SECONDS)
        # As if its lease had ended while it stood still.
        assert once._strategy.force_release()
        other = Work()
        following = in_background(partial(shared_state.once("a").run, other, "second"))
        assert other.begun.wait(SECONDS)
        late.go_on.set()
        with pytest.raises(LockLost, match="was overtaken"):
            running.result(SECONDS)
        assert not once.done()
        other.go_on.set()
        assert following.result(SECONDS) == once.result() == "second"

    def test_a_run_that_nobody_followed_counts(self, shared_state: State) -> None:
        once, work = shared_state.once("a", ttl=BRIEF), Work()
        running = in_background(partial(once.run, work))
        assert work.begun.wait(SECONDS)
        # Its lease has ended, but nobody came.
        owner = once._context.key("owner")
        assert once._context.backend.execute(("DEL", owner)) == 1
        work.go_on.set()
        assert running.result(SECONDS) == once.result() == "done"


class OnceSuite(OnceResults, OnceFailures):
    """Tests of `Once`. A backend's own test class inherits them."""

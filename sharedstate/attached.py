"""States that came with a pickle: one a process for the same settings.

Many handles travel to a worker, and each says only which settings it needs. They share
one state, and so its connections. The table is weak: a state that no handle uses any
more is closed. Only the last few are kept alive beyond that, because a pool's worker
unpickles a handle for every task, and would connect for every task without it.

Invariant: what is in the table is open. `State.close` takes its state out.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING

from sharedstate.state import State

if TYPE_CHECKING:
    from sharedstate.config import Settings

KEPT = 4
"""States that stay open with no handle left: few, for each may hold connections."""

_states: weakref.WeakValueDictionary[Settings, State] = weakref.WeakValueDictionary()
_kept: deque[State] = deque(maxlen=KEPT)
# Reentrant, for a finalizer that closes a state may run anywhere.
_lock = threading.RLock()


def attach(settings: Settings) -> State:
    """This process's state for settings, opened if there is none. Raises as `connect`."""
    state = _states.get(settings)
    if state is None:
        with _lock:
            state = _states.get(settings) or _open(settings)
    return state


def forget(state: State) -> None:
    """Take a closed state out, so that what is unpickled next opens a new one."""
    with _lock:
        for settings in [key for key, known in _states.items() if known is state]:
            del _states[settings]
        if state in _kept:
            _kept.remove(state)


def _open(settings: Settings) -> State:
    state = State.open(settings)
    # Nobody was handed this state by `connect`, so nobody else will close it. Not at the
    # program's end: that closes the sockets, and a daemon thread that waits would be
    # woken only to print an error.
    weakref.finalize(state, state.backend.close).atexit = False
    _states[settings] = state
    _kept.append(state)
    return state


def _renew_lock() -> None:
    """A fork may happen while another thread opens; the child has no such thread.

    The states stay: a backend leaves its parent's connections alone by itself.
    """
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_renew_lock)

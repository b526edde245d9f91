"""Whatever a fuzzer plays to the engine, nothing breaks.

`tests/fuzz/player.py` says what always holds; `make fuzz` looks for more, guided by
coverage.
"""

from __future__ import annotations

import os
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.player import play

# Hypothesis prefers small bytes: with noise, more of the commands get their turn.
noise = st.integers(0, 2**32).map(lambda seed: Random(seed).randbytes(250))


@settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "400")),
    deadline=None,
    database=None,
    derandomize=bool(os.environ.get("CI")),
)
@given(st.one_of(st.binary(min_size=20, max_size=400), noise))
def test_whatever_is_played_nothing_breaks(data: bytes) -> None:
    play(data)

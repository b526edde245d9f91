"""The conformance suite of serializers: what comes back is equal, or it is refused.

    class TestCbor(SerializerSuite):
        taken = (*PLAIN, b"bytes", datetime.now(UTC))
        refused = (object(), lambda: 1)

        def make(self) -> Serializer:
            return CborSerializer()

For serializers with a mark. The `raw` one, which stores bytes as they are, has none of
these promises to keep.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sharedstate.errors import SerializationError
from sharedstate.serializers import Serializer

PLAIN: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    2**63 - 1,
    -(2**63),
    2**200,
    0.1,
    -0.0,
    1e308,
    "",
    "é\x00\n𝄞",
    [],
    {},
    [1, [2.5, None]],
    {"a": {"b": ["c", True]}},
)
"""What every serializer takes."""

# 64 bits: no format with numbers promises more within a list or a dict.
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
_PLAIN_DATA = st.recursive(
    _LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text("abcé"), inner)
)


class _Opaque:
    """An object of a class that no serializer knows, and that has no equal."""

    __reduce__ = None  # type: ignore[assignment]


class SerializerSuite:
    """The promises of `sharedstate.serializers`."""

    taken: tuple[Any, ...] = PLAIN
    """Values that must come back equal."""

    refused: tuple[Any, ...] = ()
    """Values that must be refused, beside those that all serializers refuse."""

    def make(self) -> Serializer:
        """The serializer under test."""
        raise NotImplementedError

    def test_what_is_taken_comes_back_equal_and_of_its_type(self) -> None:
        serializer = self.make()
        for value in self.taken:
            loaded = serializer.loads(serializer.dumps(value))
            assert loaded == value
            assert type(loaded) is type(value)
            # Minus zero equals zero, and True equals 1.
            assert repr(loaded) == repr(value)

    # Subclasses run the same test with other serializers, as they should.
    @settings(
        max_examples=50,
        deadline=None,
        suppress_health_check=[HealthCheck.differing_executors],
    )
    @given(_PLAIN_DATA)
    def test_plain_data_comes_back_equal(self, value: Any) -> None:
        serializer = self.make()
        assert repr(serializer.loads(serializer.dumps(value))) == repr(value)

    def test_the_mark_is_one_byte_and_no_number_begins_with_it(self) -> None:
        mark = self.make().mark
        assert len(mark) == 1
        assert mark not in b"-0123456789"

    def test_values_bear_the_mark(self) -> None:
        serializer = self.make()
        for value in self.taken:
            if type(value) is not int:
                assert serializer.dumps(value).startswith(serializer.mark)

    def test_whole_numbers_are_their_decimal_text(self) -> None:
        serializer = self.make()
        for number in (0, -7, 2**70):
            assert serializer.dumps(number) == b"%d" % number
            assert serializer.loads(b"%d" % number) == number

    def test_a_truth_value_is_no_number(self) -> None:
        serializer = self.make()
        assert serializer.dumps(True) != b"1"
        assert serializer.loads(serializer.dumps(True)) is True

    def test_what_would_not_come_back_is_refused(self) -> None:
        serializer = self.make()
        for value in (*self.refused, _Opaque(), [_Opaque()], {"a": {"b": _Opaque()}}):
            with pytest.raises(SerializationError):
                serializer.dumps(value)

    def test_a_value_of_another_serializer_is_told_by_its_mark(self) -> None:
        serializer = self.make()
        foreign = b"J" if serializer.mark != b"J" else b"M"
        with pytest.raises(SerializationError, match=serializer.name):
            serializer.loads(foreign + b"anything")

    def test_rubbish_is_an_error_of_its_own_kind(self) -> None:
        serializer = self.make()
        for data in (b"", b"-", b"1x", serializer.mark, serializer.mark + b"\xc1\xff{"):
            with pytest.raises(SerializationError):
                serializer.loads(data)

    def test_a_value_cut_short_is_an_error(self) -> None:
        serializer = self.make()
        whole = serializer.dumps({"key": ["a", "longer", "value", 1.5]})
        for length in range(1, len(whole)):
            with pytest.raises(SerializationError):
                serializer.loads(whole[:length])

    def test_threads_may_share_it(self) -> None:
        from .backend_suite import run_in_threads

        serializer = self.make()
        value = {"a": [1, 2.5, "x" * 1000]}

        def work() -> None:
            for _ in range(200):
                assert serializer.loads(serializer.dumps(value)) == value

        run_in_threads(work, 4)

"""Raw: bytes as they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharedstate.errors import SerializationError
from sharedstate_serializers.raw_serializer import RawSerializer

serializer = RawSerializer()


@given(st.binary())
def test_bytes_are_stored_and_read_as_they_are(data: bytes) -> None:
    assert serializer.dumps(data) == data
    assert serializer.loads(data) == data


@pytest.mark.parametrize("value", ["text", 1, bytearray(b"a"), None])
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(SerializationError, match="bytes only"):
        serializer.dumps(value)

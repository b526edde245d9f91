"""The serializers that come with sharedstate, against the shipped suite."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sharedstate.serializers import Serializer
from sharedstate.testing.serializer_suite import PLAIN, SerializerSuite
from sharedstate_serializers.json_serializer import JsonSerializer
from sharedstate_serializers.msgpack_serializer import MsgpackSerializer
from sharedstate_serializers.pickle_serializer import PickleSerializer

_RICH: tuple[Any, ...] = (
    b"\x00\xff",
    (1, ("a", None)),
    {1, 2},
    frozenset({"a"}),
    datetime(2024, 2, 29, 12, 30, 15, 250000, tzinfo=UTC),
    date(1999, 12, 31),
    Decimal("1.10"),
    UUID(int=7),
    {1: "one", b"k": [(2,)]},
)


class TestMsgpack(SerializerSuite):
    taken = (*PLAIN, *_RICH, [*_RICH], 1j, [2**200])
    refused = (object(), len, {(1, object()): 2})

    def make(self) -> Serializer:
        return MsgpackSerializer()


class TestJson(SerializerSuite):
    refused = (object(), b"bytes", (1, 2), {1: 2}, float("nan"), {1, 2})

    def make(self) -> Serializer:
        return JsonSerializer()


class TestPickle(SerializerSuite):
    taken = (*PLAIN, *_RICH, 1j, [2**200])
    refused = (lambda: 1,)

    def make(self) -> Serializer:
        return PickleSerializer(b"a key of thirty-two bytes or more")

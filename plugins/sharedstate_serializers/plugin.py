"""The serializers that come with sharedstate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharedstate.config import OptionSpec
from sharedstate.hookspecs import SerializerRecord, hookimpl

if TYPE_CHECKING:
    from sharedstate.config import Settings
    from sharedstate.serializers import Serializer


@hookimpl
def sharedstate_serializers() -> list[SerializerRecord]:
    return [
        SerializerRecord(
            "msgpack",
            "Plain data, dates, decimals, sets, tuples; compact. The default.",
            _open_msgpack,
        ),
        SerializerRecord("json", "Plain data as JSON, readable by anybody.", _open_json),
        SerializerRecord(
            "pickle",
            "Any picklable object, signed with a key that the workers share.",
            _open_pickle,
            options={
                "pickle_key": OptionSpec("secret", None, "Signs what is pickled."),
                "pickle_key_file": OptionSpec("path", None, "A file that holds the key."),
            },
        ),
        SerializerRecord(
            "raw", "Bytes as they are, for programs of other languages.", _open_raw
        ),
    ]


def _open_msgpack(settings: Settings) -> Serializer:
    from sharedstate_serializers.msgpack_serializer import MsgpackSerializer

    return MsgpackSerializer()


def _open_json(settings: Settings) -> Serializer:
    from sharedstate_serializers.json_serializer import JsonSerializer

    return JsonSerializer()


def _open_pickle(settings: Settings) -> Serializer:
    from sharedstate_serializers.pickle_serializer import PickleSerializer, read_key

    return PickleSerializer(read_key(settings))


def _open_raw(settings: Settings) -> Serializer:
    from sharedstate_serializers.raw_serializer import RawSerializer

    return RawSerializer()

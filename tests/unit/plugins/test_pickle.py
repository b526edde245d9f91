"""Pickle: by request, with a key, and nothing is loaded that the key did not sign."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path

import pytest

from sharedstate.config import Settings
from sharedstate.errors import ConfigError, SerializationError
from sharedstate_serializers.pickle_serializer import PickleSerializer, read_key

KEY = b"0123456789abcdef"
serializer = PickleSerializer(KEY)
loaded: list[str] = []


class Trap:
    """Tells when it is loaded."""

    def __reduce__(self) -> tuple[object, ...]:
        return loaded.append, ("loaded",)


def settings(**options: object) -> Settings:
    return Settings(url="memory://", options=tuple(options.items()))


def test_any_picklable_object_comes_back() -> None:
    assert serializer.loads(serializer.dumps({(1, 2): {3}})) == {(1, 2): {3}}
    assert serializer.dumps(7) == b"7"


def test_what_was_tampered_with_is_not_loaded() -> None:
    stored = serializer.dumps(Trap())
    for position in (1, 20, 33, len(stored) - 1):
        changed = bytearray(stored)
        changed[position] ^= 1
        with pytest.raises(SerializationError, match="was not loaded"):
            serializer.loads(bytes(changed))
    assert loaded == []


def test_what_is_not_signed_is_not_loaded() -> None:
    for data in (pickle.dumps(Trap()), b"", b"x" * 31, bytes(32) + pickle.dumps(Trap())):
        with pytest.raises(SerializationError, match="signature"):
            serializer.loads(b"P" + data)
    assert loaded == []


def test_another_key_does_not_load() -> None:
    other = PickleSerializer(b"fedcba9876543210")
    with pytest.raises(SerializationError, match="another pickle_key"):
        other.loads(serializer.dumps(Trap()))
    assert loaded == []


def test_what_cannot_be_pickled_is_refused() -> None:
    with pytest.raises(SerializationError, match="picklable object, got lock"):
        serializer.dumps(threading.Lock())


def test_a_signed_pickle_that_does_not_load_is_told() -> None:
    data = b"cno_such_module\nThing\n."
    with pytest.raises(SerializationError, match="no_such_module"):
        serializer.decode(serializer._sign(data) + data)


def test_without_a_key_it_is_refused() -> None:
    with pytest.raises(ConfigError, match="give the option pickle_key"):
        read_key(settings())


def test_a_short_key_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigError, match="at least 16") as caught:
        read_key(settings(pickle_key="hunter2"))
    assert "hunter2" not in str(caught.value)


def test_the_key_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(KEY + b"\n")
    assert read_key(settings(pickle_key_file=str(file))) == KEY
    with pytest.raises(ConfigError, match="pickle_key_file"):
        read_key(settings(pickle_key_file=str(tmp_path / "missing")))

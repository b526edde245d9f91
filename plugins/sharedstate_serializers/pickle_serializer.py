"""Pickle, by request only, and signed.

Loading a pickle can run any code, so that whoever can write to the store could run code
in every worker. Each value therefore carries an HMAC-SHA256 over its bytes, made with a
key that only the program's processes have, and nothing is loaded before its signature
was found right. What the signature does not prevent: a stranger who can write may copy
an old signed value over a new one.

    stored form    P · signature (32 bytes) · pickle
"""

from __future__ import annotations

import hmac
import pickle
from typing import TYPE_CHECKING, Any

from sharedstate.errors import ConfigError, SerializationError
from sharedstate.serializers import Serializer

if TYPE_CHECKING:
    from sharedstate.config import Settings

SIGNATURE_BYTES = 32

MIN_KEY_BYTES = 16
"""128 bits: a shorter key could be found by trying."""

# Signed along with every value, so that a signature made for something else with the
# same key is none here.
_PURPOSE = b"sharedstate pickle 1:"


class PickleSerializer(Serializer):
    """Any picklable object. `key` signs what is written and what is believed."""

    name = "pickle"
    mark = b"P"

    def __init__(self, key: bytes) -> None:
        self._key = key

    def encode(self, value: Any) -> bytes:
        """Signature and pickle. Raises `SerializationError` if it cannot be pickled."""
        try:
            data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # __reduce__ is anybody's code
            raise SerializationError(
                f"value: expected a picklable object, got {type(value).__name__}: {error}"
            ) from error
        return self._sign(data) + data

    def decode(self, data: bytes) -> Any:
        """The object, if its signature is right. Raises `SerializationError`."""
        signature, pickled = data[:SIGNATURE_BYTES], data[SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._sign(pickled)):
            raise SerializationError(
                "the signature of a pickled value is wrong: it was written with another "
                "pickle_key, or changed by somebody else; it was not loaded"
            )
        try:
            return pickle.loads(pickled)
        except Exception as error:  # what it imports and calls is anybody's code
            raise SerializationError(
                f"a signed pickle does not load here: {error}"
            ) from error

    def _sign(self, data: bytes) -> bytes:
        return hmac.digest(self._key, _PURPOSE + data, "sha256")


def read_key(settings: Settings) -> bytes:
    """The key of the settings. Raises `ConfigError` if there is none, or a weak one."""
    text, path = settings.option("pickle_key"), settings.option("pickle_key_file")
    if text is None and path is None:
        raise ConfigError(
            "the serializer 'pickle' signs what it writes: give the option pickle_key or "
            "pickle_key_file, the same in every process (make one with: "
            "python -c 'import secrets; print(secrets.token_hex(32))')"
        )
    if text is not None and path is not None:
        raise ConfigError("'pickle_key' and 'pickle_key_file': give only one")
    key = str(text).encode() if text is not None else _read_key_file(str(path))
    if len(key) < MIN_KEY_BYTES:
        raise ConfigError(
            f"pickle_key must have at least {MIN_KEY_BYTES} bytes, it has {len(key)}"
        )
    return key


def _read_key_file(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read().strip()
    except OSError as error:
        raise ConfigError(f"option 'pickle_key_file': {error}") from error

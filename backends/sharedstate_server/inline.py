"""Inline commands: what a person types into a bare connection, split into words."""

from __future__ import annotations

from sharedstate_server.resp import ProtocolError

# As C has it: in text, bytes of letters in UTF-8 would be spaces as well.
_SPACES = frozenset(" \t\n\r\v\f")

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "a": "\a"}


def split_inline(line: bytes) -> list[bytes]:
    """The words of an inline command, as a person types it into a bare connection.

    Words in double quotes know backslash escapes, `\\xHH` included; words in single
    quotes know only an escaped single quote. Raises `ProtocolError` on open quotes.
    """
    if b'"' not in line and b"'" not in line:
        return line.split()
    text = line.decode("latin-1")
    words: list[bytes] = []
    position = 0
    while True:
        while position < len(text) and text[position] in _SPACES:
            position += 1
        if position == len(text):
            return words
        word, position = _read_word(text, position)
        words.append(word.encode("latin-1"))


def _read_word(text: str, position: int) -> tuple[str, int]:
    word: list[str] = []
    while position < len(text) and text[position] not in _SPACES:
        character = text[position]
        if character in "\"'":
            read = _read_double_quoted if character == '"' else _read_single_quoted
            part, position = read(text, position + 1)
            if position < len(text) and text[position] not in _SPACES:
                raise ProtocolError("unbalanced quotes in request")
            word.append(part)
        else:
            word.append(character)
            position += 1
    return "".join(word), position


def _read_single_quoted(text: str, position: int) -> tuple[str, int]:
    part: list[str] = []
    while position < len(text):
        if text.startswith("\\'", position):
            part.append("'")
            position += 2
        elif text[position] == "'":
            return "".join(part), position + 1
        else:
            part.append(text[position])
            position += 1
    raise ProtocolError("unbalanced quotes in request")


def _read_double_quoted(text: str, position: int) -> tuple[str, int]:
    part: list[str] = []
    while position < len(text):
        character = text[position]
        if character == '"':
            return "".join(part), position + 1
        if character == "\\" and position + 1 < len(text):
            escaped, position = _read_escape(text, position + 1)
            part.append(escaped)
        else:
            part.append(character)
            position += 1
    raise ProtocolError("unbalanced quotes in request")


def _read_escape(text: str, position: int) -> tuple[str, int]:
    if text[position] == "x":
        digits = text[position + 1 : position + 3]
        if len(digits) == 2 and all(digit in "0123456789abcdefABCDEF" for digit in digits):
            return chr(int(digits, 16)), position + 3
    return _ESCAPES.get(text[position], text[position]), position + 1

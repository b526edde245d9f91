"""A body of text: its files, and how often each identifier is in one of them.

Plain Python, without anything shared, so that one process and many can count with the
same functions, and the results can be compared.
"""

from __future__ import annotations

import keyword
import os
import re
import sysconfig
from collections import Counter
from pathlib import Path

MAX_FILE_BYTES = 16 * 1024 * 1024
"""Bigger files are refused: a worker reads a file as a whole."""

_IDENTIFIER = re.compile(r"\b[^\W\d]\w+")
_NO_IDENTIFIERS = frozenset(keyword.kwlist)


class Unreadable(Exception):
    """A file that cannot be counted. The message is the reason, in a few words."""


def standard_library() -> Path:
    """The folder with the source of the running Python's standard library."""
    return Path(sysconfig.get_path("stdlib"))


def find_files(root: Path | None = None) -> list[str]:
    """The files of a folder and all beneath it, sorted; of a file, the file itself.

    Without a folder: the Python files of the standard library. Installed packages,
    caches and hidden folders are left out, and links to folders are not followed.
    """
    if root is None:
        return [path for path in _walk(standard_library()) if path.endswith(".py")]
    return [str(root)] if root.is_file() else list(_walk(root))


def _walk(root: Path) -> list[str]:
    found: list[str] = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if _is_source(name)]
        found += [os.path.join(folder, name) for name in names]
    return sorted(path for path in found if os.path.isfile(path))


def _is_source(folder: str) -> bool:
    left_out = ("__pycache__", "site-packages", "dist-packages")
    return folder not in left_out and not folder.startswith(".")


def count_identifiers(path: str | bytes) -> tuple[Counter[str], int]:
    """How often each identifier is in a file, and the file's size in bytes.

    An identifier is a word of two letters or more that is no keyword of Python. An
    empty file has none. Raises `Unreadable`.
    """
    try:
        if os.path.getsize(path) > MAX_FILE_BYTES:
            raise Unreadable(f"more than {MAX_FILE_BYTES >> 20} MiB")
        with open(path, "rb") as file:
            data = file.read()
        counts = Counter(_IDENTIFIER.findall(data.decode("utf-8")))
    except UnicodeDecodeError:
        raise Unreadable("not UTF-8") from None
    except OSError as error:
        raise Unreadable(error.strerror or type(error).__name__) from error
    for word in _NO_IDENTIFIERS & counts.keys():
        del counts[word]
    return counts, len(data)


def count_all(paths: list[str]) -> Counter[str]:
    """The counts of many files together, without those that cannot be read."""
    total: Counter[str] = Counter()
    for path in paths:
        try:
            total.update(count_identifiers(path)[0])
        except Unreadable:
            continue
    return total

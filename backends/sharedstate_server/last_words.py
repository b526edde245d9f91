"""Why a server that was started here is no longer there: what it wrote before its end."""

from __future__ import annotations

import os

from sharedstate_server.folders import LOG_NAME

_TAIL_BYTES = 16 * 1024
_MOST_CHARACTERS = 2000

# More than one block, so that a full disk cannot take it from what it keeps back.
_PROBE_BYTES = 64 * 1024


def last_words(folder: str) -> str:
    """What the last server of a folder wrote to its log, and where to read on. Where the
    disk takes no more, so that a log could not be written either, that is said.
    """
    path = os.path.join(folder, LOG_NAME)
    try:
        with open(path, "rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - _TAIL_BYTES))
            tail = log.read().decode("utf-8", "replace")
    except OSError as error:
        words = f"its log cannot be read: {error}"
    else:
        words = _reason_in(_of_last_run(tail), path)
    trouble = disk_trouble(folder)
    return f"{words} [the folder cannot be written to: {trouble}]" if trouble else words


def _reason_in(words: str, path: str) -> str:
    """The words of the last run if they tell why it ended: it says so by a warning, or by
    a traceback. What a killed one wrote last has nothing to do with its end.
    """
    entries = [line for line in words.splitlines() if not line.startswith("    ")]
    if not entries:
        return "it ended without a word"
    if _is_reason(entries[-1]):
        return words
    reason = f"it ended without saying why, as one that is killed does; its log is {path}"
    return f"{reason}, its last lines: {words}" if any(map(_is_reason, entries)) else reason


def _is_reason(entry: str) -> bool:
    """Whether a line is a warning, or not the log's at all (`pid:role date # text`)."""
    fields = entry.split(" ", 6)
    return not _pid_of(entry) or len(fields) < 6 or fields[5] == "#"


def _of_last_run(tail: str) -> str:
    """The lines from the first one of the process that wrote last. Each begins with the
    number of its process; what does not (a traceback) belongs to the line before.
    """
    lines = tail.splitlines()
    pids = [_pid_of(line) for line in lines]
    last = next((pid for pid in reversed(pids) if pid), "")
    first = pids.index(last) if last else 0
    return "\n".join(lines[first:])[-_MOST_CHARACTERS:].strip()


def _pid_of(line: str) -> str:
    pid, colon, _ = line.partition(":")
    return pid if colon and pid.isdecimal() else ""


def disk_trouble(folder: str) -> str:
    """What the system says to a new file in the folder; empty if it takes one."""
    path = os.path.join(folder, f"probe-{os.getpid()}-{os.urandom(4).hex()}")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        return os.strerror(error.errno or 0)
    try:
        os.unlink(path)  # Nobody is to find it, whatever happens next.
        written = os.write(descriptor, bytes(_PROBE_BYTES))
        os.fsync(descriptor)
    except OSError as error:
        return os.strerror(error.errno or 0)
    finally:
        os.close(descriptor)
    return "" if written == _PROBE_BYTES else "it is full"

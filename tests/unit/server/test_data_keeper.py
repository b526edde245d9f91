"""A server that keeps nothing on disk pays nothing for what could be kept."""

from __future__ import annotations

import subprocess
import sys

_OURS = (
    *("persistence", "snapshots", "snapshot_file", "snapshot_reading", "loading"),
    *("loading_display", "data_folder", "forking", "forked", "failpoints", "log_contract"),
)

_PROGRAM = """
import sys
from sharedstate_server.server import Server
server = Server()
server.data.begin()
session = server.engine.open_session(print)
for line in (b"SET k v", b"INFO", b"FLUSHALL", b"LASTSAVE", b"CONFIG SET hz 20"):
    session.execute(line.split())
server.engine.cron()
server.data.cron()
print(*[name for name in sys.modules if name.startswith("sharedstate")])
"""


def test_nothing_of_persistence_is_imported_before_it_is_needed() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True
    )
    loaded = set(ended.stdout.split())
    assert "sharedstate_server.data_keeper" in loaded
    assert not loaded & {f"sharedstate_server.{name}" for name in _OURS}
    assert not [name for name in loaded if ".aof" in name or ".rdb" in name]

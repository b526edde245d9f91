"""The consistency levels that come with sharedstate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharedstate.backend import Capability
from sharedstate.config import OptionSpec
from sharedstate.hookspecs import ConsistencyRecord, hookimpl

if TYPE_CHECKING:
    from sharedstate.config import Settings
    from sharedstate.consistency import ConsistencyLevel


@hookimpl
def sharedstate_consistency_levels() -> list[ConsistencyRecord]:
    return [
        ConsistencyRecord(
            "eventual", "Done when the store has it; replicas follow.", _open_eventual
        ),
        ConsistencyRecord(
            "replicas",
            "Done when so many replicas have confirmed it (WAIT).",
            _open_replicas,
            options={
                "replicas": OptionSpec("int", 1, "Replicas that must confirm.", minimum=1),
                "replicas_timeout": OptionSpec(
                    "duration", 1.0, "Longest wait for them.", minimum=0.001
                ),
            },
            capabilities=frozenset({Capability.REPLICATION}),
        ),
    ]


def _open_eventual(settings: Settings) -> ConsistencyLevel:
    from sharedstate_consistency.eventual import Eventual

    return Eventual()


def _open_replicas(settings: Settings) -> ConsistencyLevel:
    from sharedstate_consistency.replicas import open_level

    return open_level(settings)

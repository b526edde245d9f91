"""What a backend, serializer or lock strategy needs, checked before it is used.

Two kinds of need: modules that an extra of a distribution installs, and capabilities of
the backend. What is missing is told with the line that mends it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharedstate.errors import ConfigError
from sharedstate.registry import get_registry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sharedstate.backend import Capability
    from sharedstate.hookspecs import BackendRecord, LockRecord, SerializerRecord


def check_modules(record: BackendRecord | SerializerRecord | LockRecord) -> None:
    """Raise `ConfigError`, with the pip line, if a module that is needed is missing."""
    if not record.requires:
        return
    from importlib.util import find_spec

    for module, extra in record.requires.items():
        if find_spec(module) is None:
            distribution = get_registry().distribution_of(record)
            raise ConfigError(
                f"{record.name!r} needs the module {module!r}, which is not installed; "
                f"install it with: pip install '{distribution}[{extra}]'"
            )


def check_capabilities(
    who: str, wanted: Iterable[Capability | str], able: frozenset[Capability]
) -> None:
    """Raise `ConfigError` if `who` is not able to do all that is wanted.

    The message names what is missing, and the backends that have all of it.
    """
    missing = {str(capability) for capability in wanted} - {str(each) for each in able}
    if not missing:
        return
    capable = [
        record.name
        for record in get_registry().records("backend")
        if missing <= {str(capability) for capability in record.capabilities}
    ]
    raise ConfigError(
        f"{who} lacks what is required: {', '.join(sorted(missing))}; "
        f"backends that may have it: {', '.join(sorted(capable)) or 'none'}"
    )

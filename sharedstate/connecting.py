"""`connect`: from what a program says to an open `State`."""

from __future__ import annotations

from sharedstate import head_start

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from sharedstate.state import State


def connect(
    url: str | Mapping[str, object] | None = None,
    *,
    file: str | os.PathLike[str] | None = None,
    profile: str | None = None,
    **options: object,
) -> State:
    """Open shared state: by a URL, a mapping, a file, the environment, or the default.

    `url` chooses the backend (`memory://`, `local://`, `redis://host:6379`, …) and may
    carry options in its query. A mapping in its place holds a `url` and options. What
    is not given comes from the environment (`SHAREDSTATE_URL`, `SHAREDSTATE_TIMEOUT`,
    …), then from `file`, or the `sharedstate.toml` or `[tool.sharedstate]` of
    pyproject.toml nearest to the working folder, then from the default, `local://`. An
    option that is None counts as not given.

    Raises `ConfigError` for what is unknown, wrong or missing, `PluginError` if the
    plugin that is asked for is broken, `BackendError` when the store is not reached.
    """
    head_start.begin(url, file)
    try:
        # These imports take time, which is what the head start is for.
        from sharedstate.resolve import gather

        settings = gather(url, options, file=file, profile=profile)
        from sharedstate.state import State

        return State.open(settings)
    finally:
        head_start.take_back()

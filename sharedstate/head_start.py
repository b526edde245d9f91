"""Head starts: what takes a backend a while is begun before the rest is imported.

A private server needs some 20 ms to start its interpreter, and so does the first
`connect` of a program to import pluggy and the plugins. Begun first, the one runs beside
the other. A backend asks for it by an entry point, named by the URL's scheme:

    [project.entry-points."sharedstate.head_starts"]
    local = "sharedstate_server.launcher:begin"

It names a function of a URL that begins what it can and returns at once: None, or a
function that takes back what the backend did not make its own, called when `connect` is
over. The backend itself finds what was begun by its own means. What the function raises
is left for the backend to run into, which can say it better.
"""

from __future__ import annotations

import os
import sys

from sharedstate.discovery import find_plugins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

GROUP = "sharedstate.head_starts"

DEFAULT_URL = "local://"
"""What `connect` opens when nothing says otherwise."""

_begun: list[Callable[[], None]] = []


def begin(url: object, file: object = None) -> None:
    """Begin what can be for the URL that `connect` got, until `take_back`.

    Without one, it is guessed, by the environment or the default: a guess that was wrong
    costs a server that nobody uses. Nothing is begun where a file may say otherwise, nor
    once the plugins are loaded, for there is nothing to win, nor when plugins are
    disabled: the scheme's may be among them.
    """
    if "sharedstate.registry" in sys.modules or "SHAREDSTATE_DISABLE_PLUGINS" in os.environ:
        return
    if url is None:
        url = os.environ.get("SHAREDSTATE_URL") or (None if file else _default())
    if isinstance(url, str):
        _begin(url)


def _default() -> str | None:
    """The URL that holds without any configuration; None where there is some."""
    if "SHAREDSTATE_CONFIG" in os.environ:
        return None
    try:
        folder = os.getcwd()
    except OSError:
        return DEFAULT_URL  # The folder was removed: nothing can be configured there.
    while True:
        for name in ("sharedstate.toml", "pyproject.toml"):
            if os.path.exists(os.path.join(folder, name)):
                return None
        above = os.path.dirname(folder)
        if above == folder:
            return DEFAULT_URL
        folder = above


def _begin(url: str) -> None:
    scheme = url.partition("://")[0]
    for found in find_plugins(group=GROUP):
        if found.name == scheme:
            _start(found.load, url)
            return


def take_back() -> None:
    """Take back what was begun and no backend has made its own. Twice is fine."""
    while True:
        try:
            take_back_one = _begun.pop()
        except IndexError:
            return
        take_back_one()


def _start(load: Callable[[], object], url: str) -> None:
    try:
        start = load()
        begun = start(url) if callable(start) else None
    except (ImportError, OSError):
        return  # The backend's own attempt tells.
    except Exception as error:
        from sharedstate.errors import SharedStateError  # here, for it takes its time

        if isinstance(error, SharedStateError):
            return  # As above.
        raise
    if begun is not None:
        _begun.append(begun)

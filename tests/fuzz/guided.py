"""The fuzzer that is guided by coverage: `make fuzz`, or

    python -m tests.fuzz.guided CORPUS_FOLDER -max_total_time=3600 -max_len=600

It needs atheris, which brings libFuzzer: the arguments are libFuzzer's. It changes bytes,
keeps those that reach code which no others reached, and ends with a file `crash-…` when
`play` raises. To play such a file again, give its path in place of the folder. What it
has found belongs into a test of its own, where the mistake was.

Everything is instrumented before it is imported, the families of commands that load late
too; what that costs is a factor of three.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pkgutil import walk_packages

import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]

_PACKAGES = ("sharedstate_memory", "sharedstate_server")

# They start a server, or are the client's side.
_NOT_IMPORTED = ("__main__", "launched", "launcher", "backend", "client", "plugin")


def _import_instrumented() -> None:
    with atheris.instrument_imports(include=[*_PACKAGES]):
        for name in _PACKAGES:
            package = import_module(name)
            for module in walk_packages(package.__path__, f"{name}."):
                if module.name.rpartition(".")[2] not in _NOT_IMPORTED:
                    import_module(module.name)


def main() -> None:
    """Fuzz until something breaks, or the time is over."""
    _import_instrumented()
    from tests.fuzz.player import play  # now that what it imports is instrumented

    atheris.Setup(sys.argv, play)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

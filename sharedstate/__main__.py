"""`python -m sharedstate`: the same as the command `sharedstate`."""

from __future__ import annotations

import sys

from sharedstate.cli import main

# Guarded, because worker processes that are spawned import their parent's main module.
if __name__ == "__main__":
    sys.exit(main())

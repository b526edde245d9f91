"""Programs for whom permissions hold, though they are root's."""

from __future__ import annotations

import os
import shutil

import pytest


def without_privilege() -> tuple[str, ...]:
    """The words in front of a program that may not write or read where its user may not:
    none for a usual user. Skips where root cannot be made one.
    """
    if os.geteuid():
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root may write everywhere, and there is no setpriv to change that")
    return ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")

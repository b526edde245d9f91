"""The public names: all there, and imported only when they are used."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import sharedstate
from sharedstate import errors


def modules_after(code: str) -> set[str]:
    """The modules that a fresh interpreter has imported after running `code`."""
    program = f"{code}\nimport sys; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return set(ran.stdout.split())


@pytest.mark.parametrize("name", sharedstate.__all__)
def test_a_public_name_is_there(name: str) -> None:
    assert getattr(sharedstate, name) is not None
    assert name in dir(sharedstate)


def test_every_exception_is_public() -> None:
    exceptions = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type)
        and issubclass(value, errors.SharedStateError)
        and not name.startswith("_")
    }
    assert exceptions <= set(sharedstate.__all__)


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sharedstate.nothing


def test_the_version_is_that_of_the_project() -> None:
    project = Path(sharedstate.__file__).parents[1] / "pyproject.toml"
    (version,) = re.findall(r'^version = "(.+)"$', project.read_text(), re.MULTILINE)
    assert sharedstate.__version__ == version


def test_importing_the_package_imports_nothing_else_of_it() -> None:
    ours = {name for name in modules_after("import sharedstate") if "sharedstate" in name}
    assert ours == {"sharedstate"}


def test_a_first_connect_imports_nothing_heavy() -> None:
    code = "import sharedstate; sharedstate.connect('memory://')"
    heavy = {
        "asyncio",
        "click",
        "decimal",
        "email",
        "hashlib",
        "hypothesis",
        "importlib.metadata",
        "json",
        "logging",
        "lupa",
        "multiprocess",
        "multiprocessing",
        "pathlib",
        "pickle",
        "redis",
        "rich",
        "sharedstate_server.server",
        "subprocess",
        "tomllib",
        "urllib.parse",
        "uuid",
        "zoneinfo",
    }
    assert modules_after(code) & heavy == set()

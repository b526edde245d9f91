"""What people install: the wheel, and a plugin of somebody else beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "plugin"

# A build in isolation fetches its backend, which takes a while on a slow line.
pytestmark = pytest.mark.timeout(300)


def build_wheel(source: Path, target: Path) -> Path:
    """Build a wheel with the `build` front end, in isolation unless hatchling is here."""
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(target)]
    if find_spec("hatchling") is not None:
        command.append("--no-isolation")
    ran = subprocess.run(
        [*command, str(source)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (wheel,) = target.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))) as opened:
        yield opened


@pytest.fixture(scope="module")
def installed_example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example plugin, as an installer lays it out."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(build_wheel(EXAMPLE, tmp_path_factory.mktemp("wheel"))) as wheel:
        wheel.extractall(folder)
    return folder


def run(*command: str, folder: Path) -> str:
    """Run a program that has `folder` on its path; what it printed."""
    environment = os.environ | {"PYTHONPATH": str(folder), "SHAREDSTATE_CONFIG": ""}
    ran = subprocess.run(
        [sys.executable, *command],
        env=environment,
        cwd=EXAMPLE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_the_wheel_installs_only_names_of_ours(wheel: zipfile.ZipFile) -> None:
    names = {name.partition("/")[0] for name in wheel.namelist()}
    assert {name for name in names if not name.startswith("sharedstate")} == set()
    packages = {
        package.name
        for root in (ROOT, ROOT / "backends", ROOT / "plugins")
        for package in root.glob("sharedstate*")
        if package.is_dir()
    }
    assert packages <= names


def test_the_wheel_has_every_module_script_and_type_marker(wheel: zipfile.ZipFile) -> None:
    sources = {
        file.relative_to(root).as_posix()
        for root in (ROOT, ROOT / "backends", ROOT / "plugins")
        for suffix in ("*.py", "*.lua", "py.typed")
        for package in root.glob("sharedstate*")
        for file in package.rglob(suffix)
    }
    assert sum(name.endswith(".lua") for name in sources) > 0
    assert sources - set(wheel.namelist()) == set()


def test_every_package_is_marked_as_typed(wheel: zipfile.ZipFile) -> None:
    packages = {
        name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" not in name
    }
    assert {f"{package}/py.typed" for package in packages} <= set(wheel.namelist())


def test_the_example_plugin_works_once_it_is_installed(installed_example: Path) -> None:
    run("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", folder=installed_example)


def test_an_installed_plugin_can_be_left_out(installed_example: Path) -> None:
    code = (
        "import os; os.environ['SHAREDSTATE_DISABLE_PLUGINS'] = 'acme'\n"
        "from sharedstate.registry import get_registry\n"
        "print([info.name for info in get_registry().plugins() if info.disabled])"
    )
    assert run("-c", code, folder=installed_example).strip() == "['acme']"

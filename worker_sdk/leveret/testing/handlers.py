"""Which handlers an environment serves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import TypeAlias

from leveret.errors import ConfigurationError
from leveret.registry import Handler, Registry, default_registry, import_handlers

Source: TypeAlias = "Registry | ModuleType | str | Sequence[ModuleType | str] | None"


def handlers_of(source: Source) -> list[Handler]:
    """The handlers in `source`.

    Args:
        source: a registry; a module or its dotted name, or several, which mean the handlers defined in it and in what is
            below it; None for all that were defined under `@leveret.job` in this process.

    Raises:
        ConfigurationError: there is no such module, or no handler in it.
    """
    if source is None:
        return default_registry.handlers
    if isinstance(source, Registry):
        return source.handlers
    given: Iterable[ModuleType | str] = [source] if isinstance(source, ModuleType | str) else source
    names = [module if isinstance(module, str) else module.__name__ for module in given]
    if any(isinstance(module, str) for module in given):
        import_handlers([module for module in given if isinstance(module, str)])
    found = [handler for handler in default_registry.handlers if _is_in(handler, names)]
    if not found:
        raise ConfigurationError(f"no handlers in {', '.join(names)}; mark a function with @job('sendemail.*')")
    return found


def _is_in(handler: Handler, modules: Sequence[str]) -> bool:
    return any(handler.name.startswith(f"{module}.") for module in modules)

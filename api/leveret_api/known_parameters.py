"""Query parameters that an operation does not have are refused: what is ignored in silence looks like an answer."""

from __future__ import annotations

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from leveret_core.errors import InvalidInput, Problem


async def known_parameters(request: Request) -> None:
    """A dependency of every route under `/api/`.

    Raises:
        InvalidInput: names each parameter that the route does not have, and those that it has.
    """
    route = request.scope.get("route")
    if not request.query_params or not isinstance(route, APIRoute) or not route.path.startswith("/api/"):
        return
    known = _parameters(route.dependant)
    has = f"it has {', '.join(sorted(known))}" if known else "it has none"
    unknown = sorted(set(request.query_params) - known)
    if unknown:
        raise InvalidInput([Problem(name[:100], f"is not a parameter of this request; {has}") for name in unknown[:10]])


def _parameters(dependant: Dependant) -> set[str]:
    own = {field.alias for field in dependant.query_params}
    return own.union(*(_parameters(each) for each in dependant.dependencies))

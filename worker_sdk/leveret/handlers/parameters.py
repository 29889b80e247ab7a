"""Turns a payload into the arguments of a handler, by the type hints of its parameters."""

from __future__ import annotations

import functools
import inspect
import re
import typing
from collections.abc import Callable
from typing import Any, cast

import msgspec

from leveret.context import JobContext
from leveret.errors import InvalidInput, WrongPayload

_WHOLE = (
    msgspec.inspect.StructType,
    msgspec.inspect.DataclassType,
    msgspec.inspect.TypedDictType,
    msgspec.inspect.DictType,
)
_AT = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?$", re.DOTALL)
_PLAIN_DEFAULTS = (str, int, float, bool, type(None))


class Parameters:
    """The parameters of one handler.

    Each parameter takes the field of its name; a single parameter annotated as a dataclass, Struct, TypedDict, dict or
    pydantic model takes the payload as a whole. A parameter annotated `JobContext`, or called `ctx` without an annotation,
    takes the context.

    Args:
        function: the handler as the user wrote it.
        where: how errors name it.

    Raises:
        InvalidInput: its parameters cannot be filled by name, or a type hint cannot be read.
    """

    def __init__(self, function: Callable[..., Any], where: str) -> None:
        self.schema: dict[str, Any] | None = None
        """JSON Schema of the payload; None when the type hints do not tell one."""
        self._where = where
        self._context: str | None = None
        self._whole: str | None = None
        self._rest = False
        fields = self._read(function)
        if len(fields) == 1 and not self._rest and _takes_whole(fields[0][1]):
            self._whole = fields[0][0]
            target: Any = fields[0][1]
        else:
            target = self._struct(fields)
        self._names = frozenset(field[0] for field in fields)
        try:
            self._decode = msgspec.json.Decoder(target, dec_hook=_validate_model).decode
            self.schema = _schema(target)
        except (TypeError, _Unreadable) as error:
            raise InvalidInput.at(where, f"the type hints do not describe JSON: {error}") from error

    def bind(self, payload: bytes | msgspec.Raw, context: JobContext) -> dict[str, Any]:
        """The keyword arguments for `payload`, a JSON object.

        Raises:
            WrongPayload: it does not fit; the message names the field.
        """
        try:
            value = self._decode(payload)
            if self._whole is not None:
                arguments = {self._whole: value}
            else:
                arguments = msgspec.structs.asdict(value)
                if self._rest:
                    every: dict[str, Any] = msgspec.json.decode(payload)
                    arguments.update((key, every[key]) for key in every if key not in self._names)
        except msgspec.DecodeError as error:
            raise WrongPayload(_explain(error)) from None
        except UnicodeDecodeError as error:
            raise WrongPayload(f"payload: not UTF-8: {error}") from None
        if self._context is not None:
            arguments[self._context] = context
        return arguments

    def check(self, payload: bytes) -> None:
        """Raise `WrongPayload` unless `payload`, a JSON object, fits."""
        try:
            self._decode(payload)
        except msgspec.DecodeError as error:
            raise WrongPayload(_explain(error)) from None

    def _read(self, function: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
        """The payload's fields as (name, type, default); notes the context's parameter and `**rest` on the way."""
        try:
            signature = inspect.signature(function)
            hints = typing.get_type_hints(code_of(function), include_extras=True)
        except (NameError, TypeError, ValueError) as error:
            raise InvalidInput.at(
                self._where,
                f"the type hints cannot be read: {error}; types must be importable when the handler is defined",
            ) from error
        fields: list[tuple[str, Any, Any]] = []
        for parameter in signature.parameters.values():
            hint = hints.get(parameter.name, Any)
            if parameter.kind is parameter.VAR_KEYWORD:
                self._rest = True
            elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
                raise InvalidInput.at(
                    self._where,
                    f"parameter {parameter.name!r} cannot be given by name; payloads are objects with named fields",
                )
            elif hint is JobContext or JobContext in typing.get_args(hint) or (parameter.name == "ctx" and hint is Any):
                self._context = parameter.name
            else:
                fields.append((parameter.name, hint, parameter.default))
        return fields

    def _struct(self, fields: list[tuple[str, Any, Any]]) -> type[msgspec.Struct]:
        members: list[Any] = []
        for name, hint, default in fields:
            if default is inspect.Parameter.empty:
                members.append((name, hint))
            elif isinstance(default, _PLAIN_DEFAULTS):
                members.append((name, hint, default))
            else:
                members.append((name, hint, msgspec.field(default_factory=_same(default))))
        try:
            return msgspec.defstruct("payload", members, kw_only=True, forbid_unknown_fields=not self._rest)
        except (TypeError, ValueError) as error:
            raise InvalidInput.at(self._where, f"the parameters cannot be read from JSON: {error}") from error


def code_of(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function or method that a call of `function` ends in."""
    while isinstance(function, functools.partial):
        function = function.func
    return function if inspect.isroutine(function) else cast(Any, function).__call__


def _same(value: object) -> Callable[[], object]:
    return lambda: value


def _takes_whole(hint: Any) -> bool:
    if hasattr(hint, "model_validate"):
        return True
    try:
        return isinstance(msgspec.inspect.type_info(hint), _WHOLE)
    except (TypeError, NameError):
        return False


def _validate_model(target: Any, value: Any) -> Any:
    # Pydantic is the user's choice, and never imported from here. No other foreign type passes `_model_schema`.
    return target.model_validate(value)


class _Unreadable(Exception):
    pass


def _model_schema(target: Any) -> dict[str, Any]:
    if hasattr(target, "model_validate"):
        schema: dict[str, Any] = target.model_json_schema()
        return schema
    raise _Unreadable(f"values of {target!r} cannot be read from JSON")


def _schema(target: Any) -> dict[str, Any] | None:
    try:
        schema = msgspec.json.schema(target, schema_hook=_model_schema)
        msgspec.json.encode(schema)
    except (TypeError, ValueError):
        return None
    definitions = schema.get("$defs", {})
    if schema == {"$ref": "#/$defs/payload", "$defs": definitions}:
        # The struct made of the parameters has a name that the user never gave: show what it holds.
        flat: dict[str, Any] = definitions.pop("payload")
        flat.pop("title", None)
        return flat | ({"$defs": definitions} if definitions else {})
    return schema


def _explain(error: msgspec.DecodeError) -> str:
    found = _AT.match(str(error))
    path = (found["path"] or "") if found else ""
    what = (found["what"] if found else str(error)).strip()
    return f"payload{'.' + path if path and not path.startswith('[') else path}: {what}"

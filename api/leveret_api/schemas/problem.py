"""Errors, as RFC 9457 problem documents."""

from __future__ import annotations

from pydantic import BaseModel, Field


class FieldError(BaseModel):
    """One field at fault."""

    field: str = Field(description="Dotted path, e.g. `trigger.expression`; empty for the whole body.")
    message: str = Field(description="What is wrong with it, and where possible what to do.")


class ProblemDocument(BaseModel):
    """Every error answer."""

    type: str = Field(examples=["urn:leveret:invalid-input"])
    title: str = Field(examples=["Unprocessable Entity"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["trigger.timezone 'Europe/Berln' is not a known time zone; did you mean Europe/Berlin?"])
    errors: list[FieldError]

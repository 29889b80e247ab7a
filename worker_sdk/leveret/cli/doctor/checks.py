"""What an examination found."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Args:
        service: `settings`, `postgres`, `redis` or `rabbitmq`.
        name: a word or two.
        status: `ok`; `warn` for what works but may hurt; `fail` for what does not work.
        detail: what was found.
        advice: what to do; empty when it is ok.
    """

    service: str
    name: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    advice: str = ""

    def to_json(self) -> dict[str, Any]:
        """All fields; no advice is null."""
        return asdict(self) | {"advice": self.advice or None}


@dataclass
class Checks:
    """Collects the checks of one service."""

    service: str
    found: list[Check] = field(default_factory=list[Check])

    def ok(self, name: str, detail: str) -> None:
        """It is as it should be."""
        self.found.append(Check(self.service, name, "ok", detail))

    def warn(self, name: str, detail: str, advice: str) -> None:
        """It works, but may hurt."""
        self.found.append(Check(self.service, name, "warn", detail, advice))

    def fail(self, name: str, detail: str, advice: str) -> None:
        """It does not work."""
        self.found.append(Check(self.service, name, "fail", detail, advice))

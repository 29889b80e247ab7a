"""URLs of services, checked before any library reads them: those quote what they cannot read, and that may be a password."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv6Address
from urllib.parse import unquote, urlsplit

from leveret_core.errors import ConfigurationError

_ENCODE = "; in user and password write / as %2F, # as %23, ? as %3F, @ as %40, [ as %5B, ] as %5D and % as %25"
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.%]+\]|[^\[\]:]*)(?::(?P<port>[^:]*))?")
_REDIS_DATABASE = re.compile(r"/?|/\d{1,5}")


@dataclass(frozen=True)
class Service:
    """What the URL of a service looks like."""

    schemes: Collection[str]
    example: str
    needs_host: bool = True


POSTGRES = Service(("postgresql", "postgres"), "postgresql://user:password@host:5432/database", needs_host=False)
REDIS = Service(
    ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel"), "redis://user:password@host:6379/0", needs_host=False
)
RABBITMQ = Service(("amqp", "amqps"), "amqp://user:password@host:5672/vhost")
HTTP = Service(("http", "https"), "http://127.0.0.1:8080")


def url_problem(url: str, service: Service) -> str | None:
    """What is wrong with a URL, in words that hold no part of it; None if nothing is.

    Args:
        url: as it was set; hosts may be several, with commas between them.
        service: what it should lead to.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.lower() not in service.schemes:
        problem: str | None = f"must start with {' or '.join(f'{each}://' for each in service.schemes)}"
    else:
        problem = _problem(scheme.lower(), rest, service)
    return f"{problem}; it must look like {service.example}" if problem else None


def _problem(scheme: str, rest: str, service: Service) -> str | None:
    if any(ord(each) <= 32 or ord(each) == 127 for each in rest.replace(", ", ",")):
        return "holds a space or a control character" + _ENCODE + ", and a space as %20"
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    path, _, query = rest[len(authority) :].partition("?")
    if "#" in rest or "@" in path or "@" in query or any("=" not in each for each in query.split("&") if each):
        return "holds one of / # ? @ where it cannot be" + _ENCODE
    user, _, hosts = authority.rpartition("@")
    if any(each in user for each in "@[]") or _BAD_PERCENT.search(authority):
        return "holds one of @ [ ] % in user or password" + _ENCODE
    if scheme == "unix":
        return None if path.startswith("/") else "has no path of a socket"
    for host in hosts.split(","):
        if problem := _host_problem(host.strip(), needed=service.needs_host or "," in hosts):
            return problem
    if scheme in ("redis", "rediss") and not _REDIS_DATABASE.fullmatch(path):
        return "has something other than the number of a database after the host" + _ENCODE
    return None


def _host_problem(host: str, *, needed: bool) -> str | None:
    match = _HOST.fullmatch(host)
    if match is None or not _is_host(match["name"]):
        return "has a host that is none (IPv6 addresses stand in brackets)" + _ENCODE
    if needed and not match["name"]:
        return "names no host"
    port = match["port"]
    if port is not None and not (re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 65_536):
        return "has a port that is no number from 1 to 65535" + _ENCODE
    return None


def _is_host(name: str) -> bool:
    if not name.startswith("["):
        return re.fullmatch(r"[\w.~%-]*", name) is not None
    try:
        return bool(IPv6Address(name[1:-1]))
    except ValueError:
        return False


def check_url(url: str, service: Service, name: str) -> str:
    """Return `url` if it is one.

    Args:
        url: as it was set.
        service: what it should lead to.
        name: of the setting, for the message.

    Raises:
        ConfigurationError: it is not; the message holds no part of it.
    """
    if problem := url_problem(url, service):
        raise ConfigurationError(f"{name} {problem}")
    return url


def split_login(url: str, name: str) -> tuple[str, tuple[str, str] | None]:
    """The URL of an HTTP server without user and password, and these: what is logged and told then holds none.

    Args:
        url: as it was set.
        name: of the setting, for the message.

    Raises:
        ConfigurationError: it is no URL; the message holds no part of it.
    """
    parts = urlsplit(check_url(url.rstrip("/"), HTTP, name))
    user, at, host = parts.netloc.rpartition("@")
    login, _, password = user.partition(":")
    return parts._replace(netloc=host).geturl(), (unquote(login), unquote(password)) if at else None


def told(error: BaseException, url: str) -> str:
    """An error of a library as text for a log or a message, without the password of the URL that it was given.

    Args:
        error: what it raised.
        url: of the service; one that `check_url` takes.
    """
    text = f"{type(error).__name__}: {error}".removesuffix(": ")
    user = re.split("[/?#]", url.partition("://")[2], maxsplit=1)[0].rpartition("@")[0]
    password = user.partition(":")[2]
    for secret in {password, unquote(password)} - {""}:
        # Whole words alone: a password such as `a` is no reason to make the text unreadable.
        text = re.sub(rf"(?<![^\W_]){re.escape(secret)}(?![^\W_])", "***", text)
    return text

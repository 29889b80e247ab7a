"""URLs of services: what is wrong is told without a part of them, whatever stands where."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leveret_core.broker.rabbitmq_urls import parse_urls
from leveret_core.errors import ConfigurationError
from leveret_core.redis_clients import lock_client
from leveret_core.service_urls import HTTP, POSTGRES, RABBITMQ, REDIS, Service, split_login, told, url_problem

SERVICES = {"postgresql": POSTGRES, "redis": REDIS, "amqp": RABBITMQ, "http": HTTP}
MARKS = "/#?@[]% "


@pytest.mark.parametrize("scheme", SERVICES)
@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("form", ["CAN{}ARY", "{}CANARY", "CANARY{}", "12{}34CANARY", "CAN{0}{0}A=R@Y{0}"])
def test_a_password_that_is_not_encoded_is_refused_and_not_told(scheme: str, mark: str, form: str) -> None:
    if mark == "%" and form[0] != "C":
        form = form.replace("{}", "{}G")  # not followed by two hexadecimal digits, which would be an encoded character
    for url in (f"{scheme}://leveret:{form.format(mark)}@localhost:5432/0", f"{scheme}://{form.format(mark)}@localhost"):
        said = url_problem(url, SERVICES[scheme])
        assert said is not None, url
        assert "CAN" not in said
        assert "ARY" not in said
        assert "%2F" in said


@pytest.mark.parametrize("scheme", SERVICES)
@pytest.mark.parametrize(
    "rest",
    [
        "u:p@localhost:CANARY/0",
        "u:p@localhost:99999/0",
        "u:p@localhost:0",
        "u:p@::1:5432/0",
        "u:p@a,b:CANARY/0",
        "u:p@[CANARY]/0",
    ],
)
def test_a_place_that_is_none_is_refused_and_not_told(scheme: str, rest: str) -> None:
    said = url_problem(f"{scheme}://{rest}", SERVICES[scheme])
    assert said is not None
    assert "CANARY" not in said


@pytest.mark.parametrize("service", SERVICES.values())
@pytest.mark.parametrize("url", ["", "CANARY", "CANARY://u:p@h", "u:CANARY@localhost:5432", "//CANARY@h", ":CANARY"])
def test_another_scheme_is_refused_and_not_told(service: Service, url: str) -> None:
    said = url_problem(url, service)
    assert said is not None
    assert said.startswith("must start with ")
    assert "CANARY" not in said


@pytest.mark.parametrize(
    ("url", "service"),
    [
        ("postgresql://leveret:leveret@localhost:5432/leveret", POSTGRES),
        ("postgres://l@one:5432,two:5433/l?target_session_attrs=primary", POSTGRES),
        ("postgresql://l:p%40%2F%23%3F%25@[::1]:5432/l", POSTGRES),
        ("postgresql://postgres@/l?host=/run/postgresql&port=5433", POSTGRES),
        ("postgresql:///l?host=/run/postgresql", POSTGRES),
        ("postgresql://l@%2Frun%2Fpostgresql/l", POSTGRES),
        ("postgresql://embedded", POSTGRES),
        ("redis://localhost:6379/0", REDIS),
        ("redis://", REDIS),
        ("rediss://u:a:b@host:6380/15?ssl_ca_certs=/etc/ca.pem", REDIS),
        ("unix:///run/redis.sock?db=1", REDIS),
        ("redis://in-process", REDIS),
        ("redis+sentinel://u:p@one:26379,two/leveret/0?sentinel_password=x", REDIS),
        ("amqp://guest:guest@localhost:5672/", RABBITMQ),
        ("amqps://l:p@one, two:5673/jobs?cafile=/etc/ca.pem&heartbeat=20", RABBITMQ),
        ("AMQP://h/%2F", RABBITMQ),
        ("https://u:p@leveret.example.org/base/", HTTP),
    ],
)
def test_what_is_right_passes(url: str, service: Service) -> None:
    assert url_problem(url, service) is None


@given(
    st.text("aB1/#?@:[]%,.=& -", max_size=12),
    st.sampled_from(["{}", "u:{}@h:1/0", "{}@h/0", "u:p@h:{}/0", "u:p@h/{}", "u:p@{}:1/0"]),
)
def test_what_passes_is_read_by_the_libraries(text: str, form: str) -> None:
    """Or refused in words of ours; they connect nothing: no name here has an address."""
    for scheme, service in SERVICES.items():
        url = f"{scheme}://{form.format(text)}"
        if url_problem(url, service) is not None:
            continue
        if service is RABBITMQ:
            parse_urls(url, 10)
        elif service is REDIS:
            with contextlib.suppress(ConfigurationError):
                lock_client(url)
        elif service is HTTP:
            split_login(url, "the URL")


def test_errors_have_no_cause_that_tells_more() -> None:
    makers: tuple[tuple[Callable[[str], object], str], ...] = (
        (lock_client, "redis://:CAN/ARY@localhost/0"),
        (lock_client, "redis://localhost/0?socket_timeout=CANARY"),
        (lock_client, "redis://localhost/0?canary=CANARY"),
        (lambda url: parse_urls(url, 10), "amqp://u:CAN/ARY@localhost"),
        (lambda url: split_login(url, "it"), "http://u:CAN/ARY@localhost"),
    )
    for make, url in makers:
        with pytest.raises(ConfigurationError) as raised:
            make(url)
        whole = "".join(line for line in traceback.format_exception(raised.value) if not line.startswith("  "))
        assert "CAN" not in whole
        assert "ARY" not in whole


def test_a_login_is_taken_out_of_what_is_told() -> None:
    assert split_login("https://ann:p%40ss@example.org:8443/base/", "it") == ("https://example.org:8443/base", ("ann", "p@ss"))
    assert split_login("http://127.0.0.1:8080", "it") == ("http://127.0.0.1:8080", None)


def test_a_library_s_error_is_told_without_the_password() -> None:
    error = ValueError("invalid CANARY or p@ss in CANARYBIRD")
    assert told(error, "postgresql://l:CANARY@h/l") == "ValueError: invalid *** or p@ss in CANARYBIRD"
    assert told(error, "postgresql://l:p%40ss@h/l") == "ValueError: invalid CANARY or *** in CANARYBIRD"
    assert told(TimeoutError(), "postgresql://l@h/l") == "TimeoutError"

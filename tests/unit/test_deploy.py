"""compose.yaml, the image and nginx agree with each other and with the program. No container engine is needed."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import subprocess
import tomllib
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from leveret.config import WorkerConfig
from leveret_api.middleware import MAX_BODY
from leveret_api.routers import triggers
from leveret_api.server import GRACE
from leveret_core import topology
from leveret_core.settings import Settings
from support.command_line import command

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "deploy/Dockerfile"
IMAGE = "leveret:local"

# What the commands read besides the settings of servers.
OTHER_VARIABLES = {"LEVERET_URL", "LEVERET_WORKER_NAME", "LEVERET_EXAMPLE_SHELL"}
# What a healthcheck may call, by image: without them a container is never healthy.
PROGRAMS = {
    "postgres": {"pg_isready"},
    "redis": {"redis-cli"},
    "rabbitmq": {"rabbitmq-diagnostics"},
    "nginx": {"wget"},
    "leveret": {"python"},
}
DEFAULT = re.compile(r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)?\}")


def resolved(value: Any) -> Any:
    """A part of compose.yaml with every `${NAME:-default}` replaced by its default."""
    if isinstance(value, str):
        return DEFAULT.sub(lambda match: match[2] or "", value)
    if isinstance(value, dict):
        return {key: resolved(each) for key, each in value.items()}
    if isinstance(value, list):
        return [resolved(each) for each in value]
    return value


COMPOSE: dict[str, Any] = resolved(yaml.safe_load((ROOT / "compose.yaml").read_text()))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == IMAGE}


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions as pairs, continuation lines joined."""
    text = re.sub(r"\\\n", " ", DOCKERFILE.read_text())
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def image_environment() -> dict[str, str]:
    given: dict[str, str] = {}
    for name, rest in instructions():
        if name == "ENV":
            given |= dict(word.split("=", 1) for word in shlex.split(rest))
    return given


def variables(text: str) -> set[str]:
    return set(re.findall(r"\b(?:LEVERET|EXAMPLE)_[A-Z_]+\b", text))


def seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))


# Commands and settings


@pytest.mark.parametrize("name", [name for name, service in OURS.items() if "entrypoint" not in service])
def test_every_command_of_our_image_exists_with_its_options(name: str) -> None:
    done = command(*OURS[name]["command"], "--help")

    assert done.code == 0, done.err


def test_entrypoints_are_modules_that_exist_and_take_their_arguments() -> None:
    entrypoint = OURS["mail-sink"]["entrypoint"]

    assert entrypoint[:2] == ["python", "-m"]
    assert find_spec(entrypoint[2])
    source = (ROOT / "worker_sdk" / Path(*entrypoint[2].split("."))).with_suffix(".py").read_text()
    for word in OURS["mail-sink"]["command"]:
        assert not word.startswith("--") or f'"{word}"' in source


def test_the_image_starts_the_console_command() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]

    assert ("ENTRYPOINT", '["leveret"]') in instructions()
    assert "leveret" in scripts


@pytest.mark.parametrize("file", ["compose.yaml", ".env.example", "deploy/Dockerfile"])
def test_every_variable_is_one_that_something_reads(file: str) -> None:
    known = {f"LEVERET_{name.upper()}" for name in Settings.model_fields} | OTHER_VARIABLES
    known |= variables((ROOT / "worker_sdk/examples/app/settings.py").read_text())

    assert variables((ROOT / file).read_text()) <= known


def test_what_compose_takes_from_the_environment_is_what_the_example_names() -> None:
    asked = {match[1]: match[2] or "" for match in DEFAULT.finditer((ROOT / "compose.yaml").read_text())}
    lines = (ROOT / ".env.example").read_text().splitlines()
    named = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))

    assert asked == named


def test_workers_know_the_broker_and_no_other_service() -> None:
    for name in ("email-worker", "report-worker"):
        environment = OURS[name]["environment"]
        assert environment["LEVERET_AMQP_URL"].startswith("amqp://leveret-worker:")
        assert not {"LEVERET_DATABASE_URL", "LEVERET_REDIS_URL"} & environment.keys()


def test_services_are_addressed_by_names_that_exist() -> None:
    hosts = re.findall(r"(?:@|//)([a-z-]+):?\d*[/\n]", "\n".join(OURS["api"]["environment"].values()) + "\n")
    hosts += [OURS["email-worker"]["environment"]["EXAMPLE_SMTP_HOST"], "nginx"]

    assert {"postgres", "redis", "rabbitmq"} <= set(hosts) <= SERVICES.keys()


# Scaling


def test_workers_can_be_scaled_to_any_number() -> None:
    for name in ("email-worker", "report-worker", "api"):
        assert not {"container_name", "ports", "hostname"} & SERVICES[name].keys()


def test_who_is_stopped_gets_longer_than_its_own_grace() -> None:
    config = WorkerConfig()
    for name in ("email-worker", "report-worker"):
        assert seconds(SERVICES[name]["stop_grace_period"]) > config.grace + config.stop_grace
    assert seconds(SERVICES["api"]["stop_grace_period"]) > GRACE


# What stands on what


def test_every_dependency_exists_and_can_reach_the_state_waited_for() -> None:
    for service in SERVICES.values():
        for name, wait in service.get("depends_on", {}).items():
            if wait["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[name], name
            if wait["condition"] == "service_completed_successfully":
                assert SERVICES[name]["restart"] == "on-failure", f"{name} would be started for ever"


def test_healthchecks_call_programs_that_their_images_have() -> None:
    for service in SERVICES.values():
        if "healthcheck" not in service:
            continue
        kind, program, *arguments = service["healthcheck"]["test"]
        assert kind == "CMD"
        assert program in PROGRAMS[service["image"].partition(":")[0]]
        if program == "python":
            compile(arguments[1], "healthcheck", "exec")


def test_every_image_is_pinned_to_a_version() -> None:
    pulled = [service["image"] for service in SERVICES.values() if service["image"] != IMAGE]
    pulled += [rest.split()[0] for name, rest in instructions() if name == "FROM"]

    for image in pulled:
        assert re.fullmatch(r"[a-z]+:\d[\w.-]*", image), image


def test_every_volume_is_declared_and_every_mounted_file_exists() -> None:
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            source = mount.partition(":")[0]
            if source.startswith("."):
                assert (ROOT / source).is_file()
            else:
                assert source in COMPOSE["volumes"]


def test_redis_may_not_drop_the_lock() -> None:
    assert SERVICES["redis"]["command"][1:3] == ["--maxmemory-policy", "noeviction"]


# Ports


def test_ports_agree_from_the_host_to_the_program() -> None:
    nginx = (ROOT / "deploy/nginx.conf").read_text()
    port = image_environment()["LEVERET_PORT"]

    assert ("EXPOSE", port) in instructions()
    assert re.search(rf"server api:{port} resolve", nginx)
    assert f"127.0.0.1:{port}/readyz" in OURS["api"]["healthcheck"]["test"][-1]
    listened = re.search(r"listen (\d+);", nginx)
    assert listened
    assert SERVICES["nginx"]["ports"] == [f"127.0.0.1:8080:{listened[1]}"]


def test_no_port_is_open_to_other_machines_unless_somebody_says_so() -> None:
    for service in SERVICES.values():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")


# Who may do what


def test_there_are_no_default_passwords(tmp_path: Path) -> None:
    text = (ROOT / "compose.yaml").read_text()
    assert set(re.findall(r"\$\{(\w+_PASSWORD)([^}]*)\}", text)) == {
        (name, ":?run make env") for name in re.findall(r"^(\w+_PASSWORD)=$", (ROOT / ".env.example").read_text(), re.M)
    }
    (tmp_path / "deploy/bin").mkdir(parents=True)
    for name in (".env.example", "deploy/bin/make-env"):
        shutil.copy(ROOT / name, tmp_path / name)
    for _ in range(2):  # the second time it leaves them
        subprocess.run([tmp_path / "deploy/bin/make-env"], check=True, capture_output=True)
        made = re.findall(r"^\w+_PASSWORD=(.*)$", (tmp_path / ".env").read_text(), re.M)
        assert len(set(made)) == 5
        assert all(re.fullmatch("[0-9a-f]{48}", password) for password in made)
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0


def test_no_container_can_become_more_than_it_is() -> None:
    for name, service in SERVICES.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert set(service.get("cap_add", [])) <= {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}, name
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        # RabbitMQ's entrypoint writes its configuration.
        assert service.get("read_only") or name == "rabbitmq", name


def test_workers_reach_neither_postgres_nor_redis() -> None:
    networks = {name: set(service["networks"]) for name, service in SERVICES.items()}
    for name in ("email-worker", "report-worker", "mail-sink", "nginx", "jobs"):
        assert not networks[name] & (networks["postgres"] | networks["redis"]), name
    assert set.union(*networks.values()) == COMPOSE["networks"].keys()
    # And everybody reaches what it depends on, or is told to call.
    for name, service in SERVICES.items():
        if name == "migrate":
            continue  # it is given all URLs, and uses that of Postgres
        hosts = set(re.findall(r"(?:@|//)([a-z-]+)[:/]?", "\n".join(map(str, service.get("environment", {}).values()))))
        hosts |= (
            {service["environment"]["EXAMPLE_SMTP_HOST"]} if "EXAMPLE_SMTP_HOST" in service.get("environment", {}) else set()
        )
        for host in hosts & SERVICES.keys():
            assert networks[name] & networks[host], (name, host)


def test_the_broker_s_users_have_the_rights_that_the_page_tells() -> None:
    source = runpy.run_path(str(ROOT / "deploy/rabbitmq_users.py"))
    page = re.sub(r"\\\n\s*", "", (ROOT / "docs/deploy.md").read_text())
    for user, rights in (("leveret-server", source["SERVER"]), ("leveret-worker", source["WORKER"])):
        told = re.search(rf"set_permissions -p / {user} (.*)$", page, re.M)
        assert told
        assert tuple(shlex.split(told[1])) == rights


# nginx


def test_nginx_lets_websockets_through_and_follows_replicas() -> None:
    text = re.sub(r"#.*", "", (ROOT / "deploy/nginx.conf").read_text())

    assert text.count("{") == text.count("}")
    for line in filter(None, map(str.strip, text.splitlines())):
        assert line[-1] in ";{}", f"{line!r} is no directive"
    assert "proxy_http_version 1.1;" in text
    assert "proxy_set_header Upgrade $http_upgrade;" in text
    assert "proxy_set_header Connection $connection_header;" in text
    assert re.search(r"map \$http_upgrade \$connection_header \{\s*default upgrade;\s*'' '';\s*\}", text)
    # `resolve` needs a resolver and a shared zone.
    assert "resolver 127.0.0.11" in text
    assert "zone api " in text
    assert "ip_hash" not in text, "nothing needs sticky sessions"


def test_nginx_takes_the_largest_body_that_the_api_takes() -> None:
    limit = re.search(r"client_max_body_size (\d+)m;", (ROOT / "deploy/nginx.conf").read_text())
    assert limit
    assert int(limit[1]) * 1024 * 1024 == triggers.MAX_BODY >= MAX_BODY


def test_files_of_others_are_served_as_another_site_s() -> None:
    text = (ROOT / "deploy/nginx.conf").read_text()
    found = re.findall(r"location (/\w+/) \{(.*?)\}", text, re.S)
    assert [path for path, _ in found] == ["/mail/", "/reports/"]
    for _, body in found:
        assert "disable_symlinks on;" in body
        assert "add_header X-Content-Type-Options nosniff always;" in body
        assert re.search(r'add_header Content-Security-Policy "sandbox; default-src \'none\'[^"]*" always;', body)
        assert "allow-" not in body
        assert "add_header Content-Disposition $disposition always;" in body


def test_nginx_itself_finds_its_configuration_valid(tmp_path: Path) -> None:
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if nginx is None:
        pytest.skip("no nginx: it is not on the PATH nor in /usr/sbin (apt-get install nginx)")
    # `resolve` of an upstream is newer than many packages, and its name is known in the compose network alone.
    text = (ROOT / "deploy/nginx.conf").read_text().replace("server api:8080 resolve ", "server 127.0.0.1:8080 ")
    (tmp_path / "nginx.conf").write_text(text.replace("listen 80;", "listen 8081;"))
    done = subprocess.run([nginx, "-t", "-p", tmp_path, "-c", tmp_path / "nginx.conf"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_metrics_stay_inside_the_network() -> None:
    assert re.search(r"location = /metrics \{\s*return 404;", (ROOT / "deploy/nginx.conf").read_text())


# The image


def copied() -> list[str]:
    sources: list[str] = []
    for name, rest in instructions():
        if name == "COPY" and "--from=" not in rest:
            sources += rest.split()[:-1]
    return sources


def test_everything_copied_exists_and_is_not_ignored() -> None:
    patterns = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    allowed = {line[1:] for line in patterns if line.startswith("!")}
    ignored = [line for line in patterns if not line.startswith("!") and line != "*"]

    assert "*" in patterns
    for source in copied():
        assert (ROOT / source).exists(), source
        assert source.partition("/")[0] in allowed, source
        assert not any(fnmatch(source, pattern.replace("**/", "")) for pattern in ignored), source


def test_all_that_the_wheel_is_built_of_is_copied() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = [*wheel["packages"], wheel["hooks"]["custom"]["path"], project["project"]["readme"], "LICENSE", "pyproject.toml"]

    sources = set(copied())
    assert [path for path in needed if not {path, path.partition("/")[0]} & sources] == []


def test_what_is_installed_is_locked_by_hash() -> None:
    installs = [rest for name, rest in instructions() if name == "RUN" and "pip install" in rest]

    for call in re.findall(r"pip install [^&]*", " ".join(installs)):
        assert "--require-hashes -r requirements/" in call or "--no-deps dist/" in call, call
    for lock in re.findall(r"-r (requirements/\S+)", " ".join(installs)):
        pins = re.findall(r"^[a-z0-9].*?==.*?(?=^[a-z0-9]|\Z)", (ROOT / lock).read_text(), re.M | re.S)
        assert pins
        assert all("--hash=sha256:" in pin for pin in pins), lock


def test_the_image_does_not_run_as_root() -> None:
    users = [rest for name, rest in instructions() if name == "USER"]

    assert users[-1].isdigit()
    assert int(users[-1]) > 0


def test_docker_itself_finds_compose_valid_where_it_is_installed() -> None:
    """Without Docker's compose plugin this holds trivially; the other tests stand for it."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True).returncode != 0:
        return
    done = subprocess.run([docker, "compose", "config", "--quiet"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# What the page says


def test_the_page_names_every_setting_with_its_default() -> None:
    rows = re.findall(r"^\| `LEVERET_(\w+)` \| (?:`([^`]*)`)? *\|", (ROOT / "docs/deploy.md").read_text(), re.M)
    defaults = {name.upper(): field.default for name, field in Settings.model_fields.items()}

    assert {name: type(defaults[name])(value) for name, value in rows} == defaults


def test_the_page_names_every_service_of_compose() -> None:
    table = (ROOT / "docs/deploy.md").read_text().partition("## Scaling")[0]

    for name in SERVICES:
        assert f"`{name}`" in table


def test_the_page_names_the_permissions_that_servers_and_workers_need() -> None:
    page = (ROOT / "docs/deploy.md").read_text()
    for permissions in (topology.SERVER_PERMISSIONS, topology.WORKER_PERMISSIONS):
        assert all(f"'{expression}'" in page for expression in permissions)

"""From options and environment to what has to run.  Pure: no socket, no file, no clock.

A server that the environment names is used as it is and not started, unless the name is our own address: `eval
"$(events env)"` puts that into the shell.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

from deploy.local.options import HOST, Layout, Options
from deploy.local.state import Addresses

# From the first to be stopped to the last; whoever is left at its time (in seconds from the first signal) is killed.
STOP_ORDER: tuple[tuple[tuple[str, ...], float], ...] = (
    (("ingress", "console"), 2.5),
    (("stream",), 4.0),
    (("sink",), 6.0),
    (("clickhouse", "kafka"), 9.0),
)
# As they are listed: the way of an event.
PROCESSES = ("kafka", "clickhouse", "ingress", "stream", "sink", "console")
_OURS = ("ingress", "stream", "sink", "console")
_OWN = ("KAFKA_BOOTSTRAP_SERVERS", "CLICKHOUSE_URL", "ACCOUNTS_URL", "CONSOLE_URL")
_SECRETS = frozenset({*_OWN, "KAFKA_SASL_PASSWORD", "SCHEMA_REGISTRY_USER", "SCHEMA_REGISTRY_PASSWORD"})
_LOOPBACK = {"localhost": HOST, "[::1]": HOST, "0.0.0.0": HOST}


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process to supervise.

    Attributes:
        env: its whole environment; secrets travel here, never in the command.
        probe: the address that answers once it is ready, for `ready.answers`.
        text: what its line on the screen says.
        ready_seconds: how long it may take to be ready.
    """

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    address: str
    probe: str
    text: str
    ready_seconds: float = 45.0


@dataclass(frozen=True, slots=True)
class Port:
    """A port that somebody of ours will listen on, and the option that moves it."""

    number: int
    option: str
    what: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Where everything is this time, and with which credentials.

    Attributes:
        clickhouse_url: the sink's way into ClickHouse; None while the embedded one's passwords are not known.
        accounts_url: the database of teams and tokens.
    """

    options: Options
    addresses: Addresses
    environ: Mapping[str, str]
    accounts_url: str

    def embeds(self, service: str) -> bool:
        """Whether kafka, clickhouse or accounts are ours."""
        return service in self.addresses.embedded

    def ports(self) -> list[Port]:
        """What has to be free."""
        options, metrics = self.options, self.addresses.metrics
        ports = [
            Port(options.api_port, "--api-port", "ingress"),
            Port(options.console_port, "--console-port", "console"),
        ]
        ports += [Port(_port(metrics[name]), "--metrics-port", f"{name}'s metrics") for name in _OURS]
        if self.embeds("kafka"):
            ports.append(Port(options.kafka_port, "--kafka-port", "kafka"))
            if options.kafka_controller_port is not None:
                ports.append(Port(options.kafka_controller_port, "--kafka-controller-port", "kafka's controller"))
        if self.embeds("clickhouse"):
            ports.append(Port(options.clickhouse_port, "--clickhouse-port", "clickhouse"))
        return ports

    def clickhouse_url(self, user: str, password: str) -> str:
        """ClickHouse with credentials: those of the environment where it names a server."""
        if not self.embeds("clickhouse"):
            return self.environ["CLICKHOUSE_URL"]
        return with_credentials(self.addresses.clickhouse, user, password)

    def kafka(self, command: list[str]) -> ProcessSpec:
        """The embedded Kafka, of which `KafkaNode.prepare` says how it is run."""
        env = {name: value for name, value in self._env().items() if name not in _SECRETS}
        address = self.addresses.kafka
        return ProcessSpec("kafka", tuple(command), env, address, f"kafka://{address}", address, ready_seconds=60)

    def clickhouse(self) -> ProcessSpec:
        """The embedded ClickHouse."""
        address = self.addresses.clickhouse
        env = {
            "CLICKHOUSE_LOCAL_HOST": HOST,
            "CLICKHOUSE_LOCAL_PORT": str(self.options.clickhouse_port),
            "CLICKHOUSE_LOCAL_DATA_DIR": str(self.options.layout.clickhouse),
            "CLICKHOUSE_LOCAL_USERS_FILE": str(self.options.layout.clickhouse_users),
            "CLICKHOUSE_LOCAL_STOP_SECONDS": "1.5",
        }
        return ProcessSpec(
            "clickhouse", _module("deploy.local.clickhouse"), self._env() | env, address, f"{address}/ping", address
        )

    def ingress(self, clickhouse_url: str) -> ProcessSpec:
        """The public API, which reads in ClickHouse where an event is."""
        env = {
            "KAFKA_BOOTSTRAP_SERVERS": self.addresses.kafka,
            "CLICKHOUSE_URL": clickhouse_url,
            "ACCOUNTS_URL": self.accounts_url,
            "INGRESS_PORT": str(self.options.api_port),
            "INGRESS_SHUTDOWN_SECONDS": "2",
        }
        return self._process("ingress", self.addresses.api, self.addresses.api, env)

    def stream(self, partitions: int) -> ProcessSpec:
        """The normalizer."""
        env = {"KAFKA_BOOTSTRAP_SERVERS": self.addresses.kafka}
        return self._process("stream", self.addresses.metrics["stream"], f"{partitions} partitions", env)

    def sink(self, clickhouse_url: str) -> ProcessSpec:
        """The writer into ClickHouse."""
        env = {
            "KAFKA_BOOTSTRAP_SERVERS": self.addresses.kafka,
            "CLICKHOUSE_URL": clickhouse_url,
            "SINK_STOP_TIMEOUT_SECONDS": "1.5",
        }
        table = f"table {self.environ.get('CLICKHOUSE_DATABASE', 'warehouse')}.events"
        return self._process("sink", self.addresses.metrics["sink"], table, env)

    def console(self, clickhouse_url: str) -> ProcessSpec:
        """The pages for Owners and operators."""
        env = {
            "KAFKA_BOOTSTRAP_SERVERS": self.addresses.kafka,
            "CLICKHOUSE_URL": clickhouse_url,
            "ACCOUNTS_URL": self.accounts_url,
            "CONSOLE_PORT": str(self.options.console_port),
            "CONSOLE_URL": self.addresses.console,
            "CONSOLE_API_URL": self.environ.get("CONSOLE_API_URL") or self.addresses.api,
        }
        return self._process("console", self.addresses.console, self.addresses.console, env, module="ingress.console")

    def _process(
        self, name: str, address: str, text: str, env: dict[str, str], *, module: str | None = None
    ) -> ProcessSpec:
        metrics = self.addresses.metrics[name]
        own = {f"{name.upper()}_METRICS_PORT": str(_port(metrics))}
        command = _module(module or name)
        return ProcessSpec(name, command, self._env() | env | own, address, f"{metrics}/readyz", text)

    def _env(self) -> dict[str, str]:
        """What every child gets: the environment without what is ours to say."""
        return {
            name: value for name, value in self.environ.items() if name not in _OWN and not name.startswith("EVENTS_")
        }


def make_plan(options: Options, environ: Mapping[str, str], last: Addresses | None = None) -> Plan:
    """Decide where everything is; `last` is where it was at the last start in this data folder."""
    own_kafka, own_clickhouse = f"{HOST}:{options.kafka_port}", f"http://{HOST}:{options.clickhouse_port}"
    kafka = environ.get("KAFKA_BOOTSTRAP_SERVERS", "")
    clickhouse = environ.get("CLICKHOUSE_URL", "")
    accounts = environ.get("ACCOUNTS_URL", "")
    ours = {
        "kafka": not kafka or _same(kafka, own_kafka, last, "kafka"),
        "clickhouse": not clickhouse or _same(clickhouse, own_clickhouse, last, "clickhouse"),
        "accounts": not accounts,
    }
    addresses = Addresses(
        api=f"http://{HOST}:{options.api_port}",
        kafka=own_kafka if ours["kafka"] else kafka,
        clickhouse=own_clickhouse if ours["clickhouse"] else without_credentials(clickhouse),
        console=_console(options, environ.get("CONSOLE_URL", ""), last),
        metrics={name: f"http://{HOST}:{options.metrics_port + place}" for place, name in enumerate(_OURS, 1)},
        embedded=frozenset(name for name, is_ours in ours.items() if is_ours),
    )
    return Plan(options, addresses, dict(environ), accounts or local_accounts_url(options.layout))


def local_accounts_url(layout: Layout) -> str:
    """The accounts database of a data folder, where no other is named."""
    return f"sqlite:///{layout.accounts}"


def with_credentials(url: str, user: str, password: str) -> str:
    """The same URL with user and password in it."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{_host(parts.netloc)}"))


def without_credentials(url: str) -> str:
    """The same URL with nothing secret in it, query included."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=_host(parts.netloc), query="", fragment="")).rstrip("/")


def _console(options: Options, named: str, last: Addresses | None) -> str:
    """Where browsers find the console: what the environment says, as of a proxy, unless that is what we said before."""
    own = f"http://{HOST}:{options.console_port}"
    ours = {_place(address) for address in (own, last.console if last else "") if address.startswith(f"http://{HOST}:")}
    return own if not named or _place(named) in ours else named


def _same(named: str, own: str, last: Addresses | None, service: str) -> bool:
    """Whether the environment names our own server: of this start, or of the last one."""
    known = {own}
    if last and service in last.embedded:
        known.add(str(getattr(last, service)))
    return _place(named) in {_place(address) for address in known}


def _place(address: str) -> str:
    """Host and port alone, loopback in one spelling."""
    place = _host(urlsplit(address if "://" in address else f"//{address}").netloc)
    host, _, port = place.rpartition(":")
    return f"{_LOOPBACK.get(host, host)}:{port}"


def _host(netloc: str) -> str:
    return netloc.rpartition("@")[2]


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])


def _module(name: str) -> tuple[str, ...]:
    # -P: a `sink.py` in the folder where somebody says `events up` is not ours.
    return (sys.executable, "-P", "-m", name)

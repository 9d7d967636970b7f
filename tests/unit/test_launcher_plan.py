"""From options and environment to what has to run."""

import pytest

from deploy.local.options import Options
from deploy.local.plan import Plan, make_plan, with_credentials, without_credentials

OPTIONS = Options(
    data_dir="/data", api_port=1080, clickhouse_port=1123, kafka_port=1092, console_port=1081, metrics_port=1100
)
SECRETS = {
    "CLICKHOUSE_URL": "http://own:s3cret@ch.example:8123",
    "ACCOUNTS_URL": "postgresql://own:s3cret@db/accounts",
    "KAFKA_SASL_PASSWORD": "s3cret",
    "EVENTS_TOKEN": "s3cret",
}


def specs(plan: Plan) -> list[tuple[str, tuple[str, ...], dict[str, str]]]:
    """Name, command and environment of all six."""
    made = [
        plan.kafka(["java", "kafka.Kafka"]),
        plan.clickhouse(),
        plan.ingress(plan.clickhouse_url("analyst", "s3cret")),
        plan.stream(4),
        plan.sink(plan.clickhouse_url("sink", "s3cret")),
        plan.console(plan.clickhouse_url("analyst", "s3cret")),
    ]
    return [(spec.name, spec.command, dict(spec.env)) for spec in made]


def test_plan_when_the_environment_is_empty() -> None:
    """All three servers are ours, at the ports of the options, and the sink writes with its own password."""
    plan = make_plan(OPTIONS, {})

    assert plan.addresses.embedded == {"kafka", "clickhouse", "accounts"}
    assert plan.addresses.kafka == "127.0.0.1:1092"
    assert plan.accounts_url == "sqlite:////data/accounts.db"
    assert plan.clickhouse_url("sink", "a/b@c") == "http://sink:a%2Fb%40c@127.0.0.1:1123"
    assert {port.number for port in plan.ports()} == {1080, 1081, 1092, 1123, 1101, 1102, 1103, 1104}


def test_plan_when_the_environment_names_servers() -> None:
    """They are used as they are, need no port of ours, and their password is not shown."""
    environ = {"KAFKA_BOOTSTRAP_SERVERS": "k1:9092,k2:9092", **SECRETS}
    plan = make_plan(OPTIONS, environ)

    assert plan.addresses.embedded == frozenset()
    assert plan.addresses.kafka == "k1:9092,k2:9092"
    assert plan.addresses.clickhouse == "http://ch.example:8123"
    assert plan.clickhouse_url("sink", "x") == SECRETS["CLICKHOUSE_URL"]
    assert plan.accounts_url == SECRETS["ACCOUNTS_URL"]
    assert {port.option for port in plan.ports()} == {"--api-port", "--console-port", "--metrics-port"}


@pytest.mark.parametrize(
    ("kafka", "clickhouse"),
    [
        ("127.0.0.1:1092", "http://analyst:x@127.0.0.1:1123"),
        ("localhost:1092", "http://analyst:x@localhost:1123/"),
        ("127.0.0.1:2092", "http://analyst:x@127.0.0.1:2123"),
    ],
    ids=["this start", "another spelling", "the last start"],
)
def test_plan_when_the_environment_names_our_own(kafka: str, clickhouse: str) -> None:
    """After `eval "$(events env)"` the embedded servers are still ours, whichever ports they had."""
    last = make_plan(Options(data_dir="/data", clickhouse_port=2123, kafka_port=2092), {}).addresses
    plan = make_plan(OPTIONS, {"KAFKA_BOOTSTRAP_SERVERS": kafka, "CLICKHOUSE_URL": clickhouse}, last)

    assert plan.embeds("kafka")
    assert plan.embeds("clickhouse")
    assert plan.addresses.kafka == "127.0.0.1:1092"


def test_plan_when_a_port_was_somebody_elses() -> None:
    """A real server on this machine is not taken for ours: it has another port."""
    plan = make_plan(OPTIONS, {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092"})

    assert not plan.embeds("kafka")


def test_secrets_when_processes_are_started() -> None:
    """No command holds a secret; the demo token reaches no process, and Kafka none of them at all."""
    made = specs(make_plan(OPTIONS, SECRETS))

    assert all("s3cret" not in " ".join(command) for _, command, _ in made)
    assert all("EVENTS_TOKEN" not in env for _, _, env in made)
    holders = {
        name for name, _, env in made if any("s3cret" in value for key, value in env.items() if "SASL" not in key)
    }
    assert holders == {"ingress", "sink", "console"}
    assert "s3cret" not in str(made[0])


def test_environment_when_a_process_is_started() -> None:
    """What the user set for a process reaches it."""
    made = specs(make_plan(OPTIONS, {"SINK_MAX_BATCH_ROWS": "7", "INGRESS_WORKERS": "2", "LOG_LEVEL": "debug"}))

    assert all(env["LOG_LEVEL"] == "debug" for _, _, env in made)
    assert made[4][2]["SINK_MAX_BATCH_ROWS"] == "7"
    assert made[2][2]["INGRESS_WORKERS"] == "2"
    assert made[4][2]["SINK_METRICS_PORT"] == "1103"
    assert made[5][2]["CONSOLE_METRICS_PORT"] == "1104"


@pytest.mark.parametrize(
    ("named", "address"),
    [
        ("", "http://127.0.0.1:1081"),
        ("http://localhost:1081", "http://127.0.0.1:1081"),
        ("http://127.0.0.1:2081", "http://127.0.0.1:1081"),
        ("https://console.example", "https://console.example"),
    ],
    ids=["nothing", "this start", "the last start", "a proxy"],
)
def test_console_when_the_environment_names_it(named: str, address: str) -> None:
    """Links lead where browsers find the console: to us, or to the proxy before us."""
    last = make_plan(Options(data_dir="/data", console_port=2081), {}).addresses
    plan = make_plan(OPTIONS, {"CONSOLE_URL": named}, last)

    env = plan.console("http://ch").env
    assert plan.addresses.console == env["CONSOLE_URL"] == address
    assert (env["CONSOLE_PORT"], env["CONSOLE_API_URL"]) == ("1081", "http://127.0.0.1:1080")


def test_credentials_when_put_in_and_taken_out() -> None:
    """A password of any characters goes into a URL and does not come out where it is shown."""
    url = with_credentials("https://ch.example:8443", "analyst", "p@ss:/wörd")

    assert "p@ss" not in url
    assert without_credentials(f"{url}/?password=p") == "https://ch.example:8443"

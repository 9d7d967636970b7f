"""Services that tests share.

Each comes from the environment where it is named there (KAFKA_BOOTSTRAP_SERVERS, CLICKHOUSE_URL, POSTGRES_URL), else it
is started from `deploy.local`, and PostgreSQL from Debian's package.  This is the one place that decides; containers
join here.
"""

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest
from pydantic import SecretStr

from deploy.local.clickhouse.users import Role
from deploy.topics import create_topics
from schemas.settings import ClickHouseSettings, KafkaSettings
from tests.accounts import open_stores
from tests.clickhouse_service import running_clickhouse
from tests.console import Console, running_console
from tests.postgres_service import database_of_its_own, running_postgres
from tests.services import PARTITIONS, kafka_node, running_kafka
from tests.stack import Stack, running_stack

# By default an example that takes 0.2 s fails its test, and on a busy machine any may.
hypothesis.settings.register_profile("events", deadline=None)
hypothesis.settings.load_profile("events")


@pytest.fixture(scope="session")
def bootstrap_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Kafka."""
    if named := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield named
        return
    node = kafka_node(tmp_path_factory.mktemp("kafka"))
    with running_kafka(node):
        yield node.bootstrap_servers


@pytest.fixture
async def kafka(bootstrap_servers: str) -> KafkaSettings:
    """Settings of a pipeline of its own: fresh topics and groups behind a prefix that no other test has."""
    prefix = f"t{uuid.uuid4().hex[:12]}."
    settings = KafkaSettings(kafka_bootstrap_servers=bootstrap_servers, kafka_topic_prefix=prefix)
    await create_topics(settings, PARTITIONS)
    return settings


@pytest.fixture(scope="session")
def clickhouse_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A ClickHouse over HTTP, with the sink's user and password in the address."""
    if named := os.environ.get("CLICKHOUSE_URL"):
        yield named
        return
    with running_clickhouse(tmp_path_factory.mktemp("clickhouse")) as endpoint:
        yield endpoint.url(Role.SINK)


@pytest.fixture
def clickhouse(clickhouse_url: str) -> ClickHouseSettings:
    """Settings of a warehouse of its own, which no other test has; the sink makes it."""
    return ClickHouseSettings(clickhouse_url=SecretStr(clickhouse_url), clickhouse_database=f"w{uuid.uuid4().hex[:12]}")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL, with a user who may make databases."""
    if named := os.environ.get("POSTGRES_URL"):
        yield named
        return
    with running_postgres() as server:
        yield server.url


@pytest.fixture(params=["sqlite", "postgresql"])
async def accounts_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """Accounts databases of both kinds: not made yet, in a folder that is not made either; or empty."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'data' / 'accounts.db'}"
        return
    async with database_of_its_own(request.getfixturevalue("postgres_url")) as url:
        yield url


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole pipeline, as `events up` starts it."""
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="session")
async def console(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Console]:
    """A console with a database of its own, which tests fill with teams and users of theirs."""
    database = tmp_path_factory.mktemp("console") / "accounts.db"
    async with open_stores(f"sqlite:///{database}") as stores:
        with running_console(database, stores) as running:
            yield running

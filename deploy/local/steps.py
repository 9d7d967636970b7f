"""The steps of one start, and what each waits for: as much at once as can be."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from deploy.local.clickhouse.users import Role, UsersFileError, ensure_users
from deploy.local.demo_token import TEAM
from deploy.local.errors import ExitCode, LaunchError
from deploy.local.first_event import TeamDisabled, send_and_read
from deploy.local.plan import Plan, ProcessSpec
from deploy.local.ready import until_ready
from deploy.local.reports import Noted, Ready, Reporter
from deploy.local.step import step
from deploy.local.supervisor import Supervisor
from deploy.topics import create_topics
from schemas.errors import PipelineError
from schemas.settings import KafkaSettings, SettingsError, load
from stream.settings import StreamSettings

_FIRST_EVENT_SECONDS = 45.0
_ANSWER_SECONDS = 20.0
_NOT_OURS = "not started here"

Urls = dict[Role, str]


class Start:
    """One start of the pipeline."""

    def __init__(self, plan: Plan, supervisor: Supervisor, reporter: Reporter) -> None:
        self._plan = plan
        self._supervisor = supervisor
        self._reporter = reporter

    async def run(self) -> None:
        """Start what there is to start, and send the first event through.

        Raises:
            LaunchError: a step did not succeed.
        """
        try:
            async with asyncio.TaskGroup() as steps:
                kafka = steps.create_task(self._kafka())
                clickhouse = steps.create_task(self._clickhouse())
                token = steps.create_task(self._demo_token(clickhouse))
                steps.create_task(self._reader(self._plan.ingress, token, kafka, clickhouse))
                steps.create_task(self._reader(self._plan.console, token, kafka, clickhouse))
                steps.create_task(self._stream(kafka))
                steps.create_task(self._sink(kafka, clickhouse))
        except* LaunchError as group:
            raise _first(group) from None
        analyst = clickhouse.result()[Role.ANALYST]
        await self._first_event(token.result(), analyst)
        self._supervisor.ready(analyst)
        self._reporter.report(Ready())

    async def _demo_token(self, clickhouse: asyncio.Task[Urls]) -> str:
        # SQLAlchemy takes a second to import: not in the way of what takes longer, but while Kafka still starts.
        await clickhouse
        with step("accounts", self._reporter, PipelineError, OSError) as work:
            ensure_demo = await asyncio.to_thread(_import_ensure_demo)
            token = await ensure_demo(self._plan.accounts_url, self._plan.options.layout.token, datetime.now(UTC))
            work.done(f"team {TEAM}")
        return token

    async def _kafka(self) -> int:
        """Kafka with its topics; how many partitions they have."""
        plan, address = self._plan, self._plan.addresses.kafka
        if plan.embeds("kafka"):
            await self._embedded_kafka()
        with step("topics", self._reporter, PipelineError, ValueError, SettingsError) as work:
            async with _deadline(f"Kafka at {address} does not answer"):
                settings = KafkaSettings(kafka_bootstrap_servers=address)
                teams = load(StreamSettings, "STREAM_").stream_team_topics
                partitions = await create_topics(settings, plan.options.partitions, teams=teams)
            work.done(f"{partitions} partitions each")
        if partitions != plan.options.partitions:
            self._reporter.report(Noted(f"--partitions {plan.options.partitions} is for topics that do not exist yet"))
        return partitions

    async def _embedded_kafka(self) -> None:
        # Not at the top: who brings a Kafka of their own needs no JRE and no jars.
        from deploy.local.kafka_step import KafkaError, bring_jars, kafka_command  # noqa: PLC0415

        jars = await bring_jars(self._reporter)
        with step("kafka", self._reporter, KafkaError, OSError) as work:
            await self._supervisor.start(self._plan.kafka(await kafka_command(self._plan, jars)))
            work.done(self._plan.addresses.kafka)

    async def _clickhouse(self) -> Urls:
        """ClickHouse; the way in for each role."""
        plan, address = self._plan, self._plan.addresses.clickhouse
        with step("clickhouse", self._reporter, UsersFileError, OSError) as work:
            if not plan.embeds("clickhouse"):
                async with _deadline(f"ClickHouse at {address} does not answer"):
                    await until_ready(f"{address}/ping")
                work.done(address, _NOT_OURS)
                return dict.fromkeys(Role, plan.clickhouse_url("", ""))
            users = ensure_users(plan.options.layout.clickhouse_users)
            await self._supervisor.start(plan.clickhouse())
            work.done(address)
        return {role: plan.clickhouse_url(role.value, users.password(role)) for role in Role}

    async def _reader(
        self,
        plan: Callable[[str], ProcessSpec],
        token: asyncio.Task[str],
        kafka: asyncio.Task[int],
        clickhouse: asyncio.Task[Urls],
    ) -> None:
        """A process that needs the accounts, and reads in ClickHouse where events are."""
        await token
        await kafka
        await self._process(plan((await clickhouse)[Role.ANALYST]))

    async def _stream(self, kafka: asyncio.Task[int]) -> None:
        await self._process(self._plan.stream(await kafka))

    async def _sink(self, kafka: asyncio.Task[int], clickhouse: asyncio.Task[Urls]) -> None:
        await kafka
        await self._process(self._plan.sink((await clickhouse)[Role.SINK]))

    async def _process(self, spec: ProcessSpec) -> None:
        with step(spec.name, self._reporter, OSError) as work:
            await self._supervisor.start(spec)
            work.done(spec.text)

    async def _first_event(self, token: str, clickhouse_url: str) -> None:
        with step("first event", self._reporter) as work:
            try:
                seconds = await send_and_read(self._plan.addresses.api, token, clickhouse_url, _FIRST_EVENT_SECONDS)
            except TeamDisabled:
                work.done(f"not sent: `events team enable {TEAM}` first", timed=False)
            else:
                work.done(f"readable {seconds:.1f} s after its POST", timed=False)


def _import_ensure_demo() -> Callable[[str, Path, datetime], Awaitable[str]]:
    from deploy.local.demo import ensure_demo  # noqa: PLC0415 - see _demo_token

    return ensure_demo


@asynccontextmanager
async def _deadline(reason: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            yield
    except TimeoutError as error:
        raise LaunchError(ExitCode.NOT_STARTED, f"{reason} (waited {_ANSWER_SECONDS:.0f} s).") from error


def _first(group: BaseExceptionGroup[LaunchError]) -> LaunchError:
    """Steps that waited for one that failed fail with the same error."""
    for error in group.exceptions:
        return _first(error) if isinstance(error, BaseExceptionGroup) else error
    raise AssertionError("a group without exceptions")

"""`events schema add`, `list` and `show`: the registry, said by an operator on the accounts database."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.accounts import Exit, Json, Row, Slug, end, now, print_all, print_one, run, say
from deploy.commands.running import silence_libraries
from ingress.accounts.actors import command_line
from ingress.accounts.database import Database
from ingress.registry.draft import checked_subject
from ingress.registry.publisher import Publisher
from ingress.registry.refusals import Refused
from ingress.registry.store import Registration, SchemaStore
from schemas.errors import Unavailable
from schemas.registered import Subject, Version
from schemas.settings import KafkaSettings, SettingsError, load

REFUSED = 1
EXIT_CODES = """Exit codes: 0 done, 1 the schema is refused, 2 wrong usage or settings, 4 not found, 5 the accounts
database or Kafka does not answer.
"""
ADD_HELP = f"""Example: events schema add acme "Order Completed" order_completed.avsc

Register a schema: from now on each event of that name is a row of a table with these columns.  A later version of it is
registered in the same way; one that is not compatible, with --major 2, has a table of its own.

{EXIT_CODES}"""
LIST_HELP = f"""Example: events schema list acme --json

List the versions of a team's schemas, with their tables.

{EXIT_CODES}"""
SHOW_HELP = f"""Example: events schema show acme "Order Completed" > order_completed.avsc

Print a schema as it was registered: the last version, or the one of --version.

{EXIT_CODES}"""
Event = Annotated[str, typer.Argument(metavar="EVENT", help="its name, as sent")]
Major = Annotated[int, typer.Option(min=1, help="which of several incompatible schemas")]


def add(
    team: Slug,
    event: Event,
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="the schema")],
    *,
    major: Major = 1,
    as_json: Json = False,
) -> None:
    """Register a schema."""
    silence_libraries()
    try:
        subject = checked_subject(str(Subject(team, event, major)))
        text = file.read_text("utf-8")
        kafka = load(KafkaSettings, "EVENTS_SCHEMA_")
        made = run(lambda database: _register(database, kafka, subject, text))
    except UnicodeDecodeError:
        end(REFUSED, f"{file.name} must be UTF-8 text.")
    except SettingsError as error:
        end(Exit.USAGE, error)
    except Refused as error:
        end(REFUSED, "\n".join([str(error), *error.details]))
    for note in made.notes:
        say(note)
    print_one(_row(made.version), as_json=as_json)


def list_all(team: Slug, *, as_json: Json = False) -> None:
    """List a team's schemas."""

    async def rows(database: Database) -> list[Row]:
        return [_row(each) for state in await SchemaStore(database).subjects(team) for each in state.live]

    print_all(run(rows), as_json=as_json)


def show(
    team: Slug,
    event: Event,
    *,
    major: Major = 1,
    number: Annotated[int | None, typer.Option("--version", min=1, help="which one; the last by default")] = None,
) -> None:
    """Print a schema."""
    subject = Subject(team, event, major)
    state = run(lambda database: SchemaStore(database).subject(str(subject)))
    versions = {each.number: each for each in (state.live if state else ())}
    found = versions.get(number or max(versions, default=0))
    if found is None:
        end(Exit.NOT_FOUND, f"There is no version {number} of {subject}." if versions else f"There is no {subject}.")
    typer.echo(found.schema)


async def _register(database: Database, kafka: KafkaSettings, subject: Subject, text: str) -> Registration:
    store = SchemaStore(database)
    made = await store.register(subject, text, now(), command_line())
    publisher = Publisher(kafka, store)
    try:
        await publisher.publish_all()
    except Unavailable as error:
        raise Unavailable(f"It is kept, and the console publishes it as soon as Kafka is there.  {error}") from error
    finally:
        await publisher.close()
    return made


def _row(version: Version) -> Row:
    columns = ", ".join(f"{column.name} {column.type}" for column in version.columns)
    return {
        "subject": str(version.subject),
        "version": version.number,
        "id": version.id,
        "table": f"{version.subject.team}.{version.table}",
        "columns": columns,
    }

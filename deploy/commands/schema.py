"""`events schema`: which properties of an event have a type, tried on the events that there are."""

import asyncio
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.commands import registered
from deploy.commands.accounts import Exit, Json, Slug, end, run, say
from deploy.commands.running import silence_libraries
from deploy.samples import SampleSettings, recent_properties
from deploy.text import aligned, visible
from ingress.registry.draft import checked_subject, parsed
from ingress.registry.refusals import Code, Refused
from ingress.registry.store import SchemaStore
from schemas.columns import columns_of
from schemas.compatibility import problems
from schemas.ddl import is_team_slug
from schemas.errors import Unavailable
from schemas.field_types import TypedSchema
from schemas.fit import FieldFit, fit
from schemas.proposal import propose
from schemas.registered import Subject, Version
from schemas.settings import SettingsError, load

REFUSED = 1
EXIT_CODES = """Exit codes: 0 done, 1 the schema cannot be used or is not compatible, 2 wrong usage or settings, 4 there
are no such events, or no such team, 5 ClickHouse or the accounts database does not answer.
"""
INFER_HELP = f"""Example: events schema infer acme "Order Completed" > order_completed.avsc

Read the team's recent events of that name and propose a schema: JSON on standard output, and on standard error how many
of the events fit each field, and what does not.  Asks the ClickHouse at CLICKHOUSE_URL; `events env` exports it.

{EXIT_CODES}"""
CHECK_HELP = f"""Example: events schema check order_completed.avsc --team acme --event "Order Completed"

Check a schema: whether it can be used, with which columns; with --team and --event whether the registry would take it
after what is registered, and which of the recent events do not fit it; with --against whether it is compatible with
earlier versions in files.

{EXIT_CODES}"""
Sample = Annotated[int, typer.Option("--sample", min=1, max=100_000, help="how many of the last events to read")]
_File = typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="the schema, in Avro's JSON")

app = typer.Typer(
    no_args_is_help=True,
    help='Example: events schema infer acme "Order Completed"\n\nSchemas: which properties have a type.',
)


app.command("add", help=registered.ADD_HELP)(registered.add)
app.command("list", help=registered.LIST_HELP)(registered.list_all)
app.command("show", help=registered.SHOW_HELP)(registered.show)


@app.command("infer", help=INFER_HELP)
def infer(
    team: Slug, event: Annotated[str, typer.Argument(metavar="EVENT", help="its name, as sent")], sample: Sample = 1_000
) -> None:
    """Propose a schema."""
    samples = _samples(team, event, sample)
    if not samples:
        end(Exit.NOT_FOUND, f"{team} has no events named {event!r}.")
    document = propose(event, samples)
    if not document["fields"]:
        end(Exit.NOT_FOUND, f"The {len(samples)} events have no properties that could be fields.")
    text = json.dumps(document, indent=2, ensure_ascii=False)
    _say_fit(_tried(parsed(text), samples), len(samples))
    typer.echo(text)


@dataclass
class _Checked:
    """What is to be said of a schema.

    Attributes:
        columns: each with its type.
        notes: on names, for whoever chose them.
        found: why it is not compatible, in words.
    """

    columns: dict[str, str]
    notes: list[str]
    found: list[str]


@app.command("check", help=CHECK_HELP)
def check(  # noqa: PLR0913 - one per option
    file: Annotated[Path, _File],
    *,
    against: Annotated[
        list[Path] | None,
        typer.Option(exists=True, dir_okay=False, metavar="FILE", help="an earlier version; may be repeated"),
    ] = None,
    team: Annotated[str | None, typer.Option(help="whose schemas and events to try it on")] = None,
    event: Annotated[str | None, typer.Option(help="which event of theirs")] = None,
    major: registered.Major = 1,
    sample: Sample = 1_000,
    as_json: Json = False,
) -> None:
    """Check a schema."""
    if (team is None) != (event is None):
        raise typer.BadParameter("say both --team and --event, or none")
    if team is not None and not is_team_slug(team):
        raise typer.BadParameter(f"{team!r} cannot name a team", param_hint="--team")
    text, schema = _read(file)
    columns, names = columns_of(schema.fields)
    checked = _Checked(columns, names.collisions, [])
    fits, size = None, 0
    if team is not None and event is not None:
        checked = _would_be_registered(Subject(team, event, major), text, checked)
        samples = _samples(team, event, sample)
        fits, size = _tried(schema, samples), len(samples)
    checked.found += problems(schema, [(path.name, _read(path)[1]) for path in against or ()])
    if as_json:
        typer.echo(json.dumps(_document(checked, fits), ensure_ascii=False))
    else:
        typer.echo("\n".join(aligned([["column", "type"], *map(list, checked.columns.items())])))
        for line in [*checked.notes, *(f"Not compatible: {problem}." for problem in checked.found)]:
            say(line)
        if fits is not None:
            _say_fit(fits, size)
    raise typer.Exit(REFUSED if checked.found else 0)


def _would_be_registered(subject: Subject, text: str, alone: _Checked) -> _Checked:
    """What the registry would say; of one that is not compatible, the columns that it would have by itself."""
    try:
        subject = checked_subject(str(subject))
        made = run(lambda database: SchemaStore(database).check(subject, text))
    except Refused as error:
        if error.code is not Code.INCOMPATIBLE:
            end(REFUSED, error)
        return _Checked(alone.columns, alone.notes, list(error.details))
    notes = [f"It is registered: version {made.number} of {subject}."] if isinstance(made, Version) else [*made.notes]
    return _Checked({column.name: column.type for column in made.columns}, notes, [])


def _read(path: Path) -> tuple[str, TypedSchema]:
    """A schema as it is written, and as the registry reads it."""
    try:
        text = path.read_text("utf-8")
        return text, parsed(text)
    except UnicodeDecodeError:
        end(REFUSED, f"{path.name} must be UTF-8 text.")
    except Refused as error:
        end(REFUSED, f"{path.name}: {error}")


def _samples(team: str, event: str, most: int) -> list[bytes]:
    silence_libraries()
    try:
        samples = asyncio.run(recent_properties(load(SampleSettings, "EVENTS_SCHEMA_"), team, event, most))
    except SettingsError as error:
        end(Exit.USAGE, error)
    except Unavailable as error:
        end(Exit.UNAVAILABLE, f'ClickHouse does not answer: {error}\nIts address: eval "$(events env)"')
    return samples


def _tried(schema: TypedSchema, samples: list[bytes]) -> list[FieldFit]:
    """How each field fares, as a terminal may show it."""
    return [replace(each, examples=[*map(visible, each.examples)]) for each in fit(schema, samples)]


def _document(checked: _Checked, fits: list[FieldFit] | None) -> dict[str, Any]:
    return {
        "compatible": not checked.found,
        "problems": checked.found,
        "columns": checked.columns,
        "collisions": checked.notes,
        "fields": None if fits is None else [asdict(each) for each in fits],
    }


def _say_fit(fits: list[FieldFit], events: int) -> None:
    """For whoever reads along; data goes to standard output."""
    rows = [["field", "wanted", "present", "fit", "what does not"]]
    for each in fits:
        missing = [f"{each.missing} without it: dead letters"] if each.missing else []
        fitting = str(each.present - each.misfits)
        rows.append([each.name, each.wanted, str(each.present), fitting, "; ".join([*missing, *each.examples])])
    say("1 event" if events == 1 else f"{events} events")
    for line in aligned(rows):
        say(line)

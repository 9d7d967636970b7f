"""`events schema`: which properties of an event have a type, tried on the events that there are."""

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.commands import registered
from deploy.commands.accounts import Exit, Json, Slug, end, say
from deploy.commands.running import silence_libraries
from deploy.fit import FieldFit, fit
from deploy.proposal import propose
from deploy.samples import SampleSettings, recent_properties
from deploy.text import aligned
from schemas.columns import columns_of
from schemas.compatibility import problems
from schemas.ddl import is_team_slug
from schemas.errors import Unavailable
from schemas.field_types import TypedSchema
from schemas.settings import SettingsError, load
from schemas.typed import SchemaError, parse_schema
from stream.coerce import Coercion

REFUSED = 1
EXIT_CODES = """Exit codes: 0 done, 1 the schema cannot be used or is not compatible, 2 wrong usage or settings, 4 there
are no such events, 5 ClickHouse does not answer.
"""
INFER_HELP = f"""Example: events schema infer acme "Order Completed" > order_completed.avsc

Read the team's recent events of that name and propose a schema: JSON on standard output, and on standard error how many
of the events fit each field, and what does not.  Asks the ClickHouse at CLICKHOUSE_URL; `events env` exports it.

{EXIT_CODES}"""
CHECK_HELP = f"""Example: events schema check order_completed.avsc --against order_completed.v1.avsc

Check a schema: whether it can be used, with which columns; with --against whether it is compatible with earlier
versions; with --team and --event which of the recent events do not fit it.

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
    document = propose(event, samples)
    if not document["fields"]:
        end(Exit.NOT_FOUND, f"The {len(samples)} events have no properties that could be fields.")
    text = json.dumps(document, indent=2, ensure_ascii=False)
    _say_fit(fit(_parsed(text, "The proposal"), samples), len(samples))
    typer.echo(text)


@app.command("check", help=CHECK_HELP)
def check(  # noqa: PLR0913 - one per option
    file: Annotated[Path, _File],
    *,
    against: Annotated[
        list[Path] | None,
        typer.Option(exists=True, dir_okay=False, metavar="FILE", help="an earlier version; may be repeated"),
    ] = None,
    team: Annotated[str | None, typer.Option(help="whose events to try it on")] = None,
    event: Annotated[str | None, typer.Option(help="which events of theirs")] = None,
    sample: Sample = 1_000,
    as_json: Json = False,
) -> None:
    """Check a schema."""
    if (team is None) != (event is None):
        raise typer.BadParameter("say both --team and --event, or none")
    if team is not None and not is_team_slug(team):
        raise typer.BadParameter(f"{team!r} cannot name a team", param_hint="--team")
    schema = _read(file)
    try:
        found = problems(schema, [(path.name, _read(path)) for path in against or ()])
    except SchemaError as error:
        end(REFUSED, error)
    columns, names = columns_of(schema.fields)
    fits, size = None, 0
    if team is not None and event is not None:
        samples = _samples(team, event, sample)
        fits, size = fit(schema, samples), len(samples)
    if as_json:
        typer.echo(json.dumps(_document(columns, names.collisions, found, fits), ensure_ascii=False))
    else:
        typer.echo("\n".join(aligned([["column", "type"], *map(list, columns.items())])))
        for line in [*names.collisions, *(f"Not compatible: {problem}." for problem in found)]:
            say(line)
        if fits is not None:
            _say_fit(fits, size)
    raise typer.Exit(REFUSED if found else 0)


def _read(path: Path) -> TypedSchema:
    return _parsed(path.read_bytes(), path.name)


def _parsed(text: str | bytes, called: str) -> TypedSchema:
    """A schema whose defaults fit as well."""
    try:
        schema = parse_schema(text)
        Coercion(schema)
    except SchemaError as error:
        end(REFUSED, f"{called}: {error}")
    return schema


def _samples(team: str, event: str, most: int) -> list[bytes]:
    silence_libraries()
    try:
        samples = asyncio.run(recent_properties(load(SampleSettings, "EVENTS_SCHEMA_"), team, event, most))
    except SettingsError as error:
        end(Exit.USAGE, error)
    except Unavailable as error:
        end(Exit.UNAVAILABLE, f'ClickHouse does not answer: {error}\nIts address: eval "$(events env)"')
    if not samples:
        end(Exit.NOT_FOUND, f"{team} has no events named {event!r}.")
    return samples


def _document(
    columns: dict[str, str], collisions: list[str], found: list[str], fits: list[FieldFit] | None
) -> dict[str, Any]:
    fields = None if fits is None else [asdict(each) for each in fits]
    return {"compatible": not found, "problems": found, "columns": columns, "collisions": collisions, "fields": fields}


def _say_fit(fits: list[FieldFit], events: int) -> None:
    """For whoever reads along; data goes to standard output."""
    rows = [["field", "wanted", "present", "fit", "what does not"]]
    for each in fits:
        missing = [f"{each.missing} without it: dead letters"] if each.missing else []
        fitting = str(each.present - each.misfits)
        rows.append([each.name, each.wanted, str(each.present), fitting, "; ".join([*missing, *each.examples])])
    say(f"{events} events")
    for line in aligned(rows):
        say(line)

"""The `events` command.

What a sub-command needs is imported when it runs: `--help` answers at once, and without the extra `local`.
"""

from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from deploy.commands import down, env, status, up, where

HELP = """Example: events up

Events API: post an event, query it in ClickHouse two seconds later, lose none.

Exit codes: 0 done, 1 failed, 2 wrong usage; each command's --help lists its own.
"""
_GROUPS = {
    "dead-letters": "Dead letters: what was refused behind the API, why, and once more.",
    "team": "Teams: who owns events, and may send them.",
    "user": "Users: who signs in to the console, and their teams.",
    "token": "Tokens: what producers send with events.",
    "schema": "Schemas: which properties of an event have a type, and whether events fit.",
}


class _Commands(TyperGroup):
    """Brings what needs a database or Kafka only where it is called: that takes half a second."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] == "audit":
            from deploy.commands import audit  # noqa: PLC0415 - as the class says

            self.commands["audit"] = typer.main.get_command(audit.app)
        if args and args[0] in _GROUPS:
            module = import_module(f"deploy.commands.{args[0].replace('-', '_')}")
            self.commands[args[0]] = typer.main.get_group(module.app)
        return super().resolve_command(ctx, args)


app = typer.Typer(cls=_Commands, help=HELP, no_args_is_help=True, pretty_exceptions_enable=False)
app.command("up", help=up.HELP, short_help="Start everything on this machine.")(up.up)
app.command("down", help=down.HELP, short_help="Stop it.")(down.down)
app.command("status", help=status.HELP, short_help="Show what runs, where, and how well.")(status.status)
app.command("env", help=env.HELP, short_help="Print what a shell needs to use it.")(env.env)
app.command("where", help=where.HELP, short_help="Tell where an event is.")(where.where)
app.command("audit", short_help="Find what was lost, and what is there twice.")(lambda: None)
for _name, _help in _GROUPS.items():
    app.add_typer(typer.Typer(), name=_name, help=_help)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        typer.echo(f"events-api {version('events-api')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="print the version and end")
    ] = False,
) -> None:
    """Options of the command itself."""


def main() -> None:
    """What the installed script calls."""
    app(prog_name="events")


if __name__ == "__main__":
    main()

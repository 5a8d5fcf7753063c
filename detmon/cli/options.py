"""Options that many verbs share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from detmon.cli.output import Format
from detmon.errors import UsageError

if TYPE_CHECKING:
    from detmon.client import Client

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Rows = Annotated[Format, typer.Option("--format", help="How to print the rows.")]
ExitCode = Annotated[bool, typer.Option("--exit-code", help="Exit 1 on a finding, 3 when it cannot be decided.")]


def noun(help: str | None = None) -> typer.Typer:
    """The app of a noun with several verbs; `help` is for a noun below another one."""
    return typer.Typer(no_args_is_help=True, rich_markup_mode=None, add_completion=False, help=help)


def client(ctx: typer.Context) -> Client:
    """The client of this call."""
    made: Client = ctx.obj.client()
    return made


def chosen(format: Format, json: bool) -> Format:
    """The format of the rows: `--json` is short for `--format json`."""
    return Format.json if json else format


def pairs(texts: list[str] | None) -> dict[str, str]:
    """NAME=VALUE options as a mapping."""
    found = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise UsageError(f"{text!r} is not of the form NAME=VALUE")
        found[name] = value
    return found


def size(text: str | None) -> tuple[int, int] | None:
    """WIDTHxHEIGHT in pixels."""
    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) > 0 and int(height) > 0):
        raise UsageError(f"{text!r} is not of the form WIDTHxHEIGHT", "for example 1920x1080")
    return int(width), int(height)

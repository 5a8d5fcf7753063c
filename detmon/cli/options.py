"""Options that many verbs share."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, get_args, get_type_hints

import typer

from detmon.cli.output import Format
from detmon.errors import UsageError

if TYPE_CHECKING:
    from detmon.client import Client

Verb: TypeAlias = Callable[..., None]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Rows = Annotated[Format, typer.Option("--format", help="How to print the rows.")]
ExitCode = Annotated[bool, typer.Option("--exit-code", help="Exit 1 on a finding, 3 when it cannot be decided.")]


def borrowing(lender: Verb, names: Iterable[str]) -> Callable[[Verb], Verb]:
    """Gives `verb(…, **borrowed)` the options `names` of another verb that it has not itself, none of them required.

    Its help does not list them again.
    """

    def lend(verb: Verb) -> Verb:
        own, hints = inspect.signature(verb).parameters, get_type_hints(verb, include_extras=True)
        others, others_hints = inspect.signature(lender).parameters, get_type_hints(lender, include_extras=True)
        kept = [
            parameter.replace(annotation=hints[name])
            for name, parameter in own.items()
            if parameter.kind is not parameter.VAR_KEYWORD
        ]
        added = [
            others[name].replace(
                annotation=_hidden(others_hints[name]),
                kind=inspect.Parameter.KEYWORD_ONLY,
                default=None if others[name].default is inspect.Parameter.empty else others[name].default,
            )
            for name in names
            if name not in own
        ]
        verb.__signature__ = inspect.Signature([*kept, *added])  # type: ignore[attr-defined]
        verb.__annotations__ = {parameter.name: parameter.annotation for parameter in (*kept, *added)}
        return verb

    return lend


def _hidden(hint: Any) -> Any:
    kind, option = get_args(hint)[:2]
    option = copy.copy(option)
    option.hidden = True
    return Annotated[kind, option]


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

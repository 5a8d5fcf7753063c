"""The program `detmon`: global options, the table of nouns, exit codes."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command_from_info

from detmon.cli import output
from detmon.errors import DetmonError, OperationError, UsageError, nearest

if TYPE_CHECKING:
    from detmon.client import Client

NOUNS: dict[str, str] = {
    "ingest": "Read prediction logs into the store.",
    "quarantine": "Records that were not stored, and why.",
    "sql": "Ask the store in SQL, read-only.",
    "model": "The models detmon knows.",
    "status": "What is in the store, what fires, what waits.",
    "metric": "The metrics, and their values over time.",
    "alert": "Rules that watch metrics, and what they found.",
    "dataset": "Collections of predictions chosen for review.",
    "version": "Frozen states of a dataset: images with their corrected labels, to train on.",
    "engine": "The data engine: which predictions people should look at.",
    "item": "Flagged predictions, and their place in the work.",
    "drift": "Whether the detections changed more than usual.",
    "baseline": "The normal that a model is compared with.",
    "feedback": "Verdicts of people on boxes and images.",
    "review": "Items out to reviewers and their tools, verdicts back in.",
    "quality": "Precision and recall, from reviews or ground truth.",
    "export": "What other programs read: datasets for trainers, logs as Parquet, metrics for Prometheus.",
    "config": "The settings in force.",
    "apply": "Make models, alerts, engines and tests what a file declares.",
    "notify": "Where notices go, and what became of them.",
    "plugins": "The installed plugins.",
    "init": "Write a commented ./detmon.toml.",
    "ab": "Two models compared on live traffic, or on the same images.",
    "train": "Training jobs: from a version of a dataset to a registered model.",
    "gate": "Let CI decide: statements about a model, from the configuration.",
    "prune": "Remove what is old; rollups, and what reviews need, stay.",
    "doctor": "What makes numbers wrong or alerts silent, and what helps.",
    "demo": "A month of a small camera fleet, watched.",
}
"""Noun → what it is about, in one line. `detmon.cli.NOUN` is imported when the noun is used, not before."""


@dataclass
class Session:
    """The global options of this call."""

    db: Path | None = None
    config: Path | None = None
    now: str | None = None
    lock_timeout: str | None = None
    verbosity: int = 0

    def client(self, *, lenient: bool = False) -> Client:
        """A client with these options; `lenient` with wrong settings."""
        from detmon.client import Client
        from detmon.times import parse_duration

        wait = None
        if self.lock_timeout is not None:
            text = self.lock_timeout
            wait = parse_duration(text if text[-1:].isalpha() else text + "s").total_seconds()
        note = output.note if self.verbosity >= 0 else None
        return Client(self.db, self.config, self.now, lock_timeout=wait, note=note, lenient=lenient)


class Verbs(TyperGroup):
    """A noun with several verbs. Reading the options of all takes 30 ms, so a verb is made when it is called.

    `default`: the verb that is meant where none is named.
    """

    def __init__(self, app: typer.Typer, default: str | None = None, **attrs: Any) -> None:
        super().__init__(no_args_is_help=True, rich_markup_mode=None, **attrs)
        self.default = default
        self.verbs = {str(verb.name): verb for verb in app.registered_commands}
        self.nouns = {str(noun.name): noun for noun in app.registered_groups}

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if self.default and args and args[0] not in (*self.verbs, *self.nouns, "--help"):
            args = [self.default, *args]
        found: list[str] = super().parse_args(ctx, args)
        return found

    def list_commands(self, ctx: Any) -> list[str]:
        return [*self.verbs, *self.nouns]

    def get_command(self, ctx: Any, name: str) -> Any:
        if name in self.nouns:
            inner = self.nouns[name].typer_instance
            return Verbs(inner, name=name, help=inner.info.help) if inner else None
        if name not in self.verbs:
            return None
        return get_command_from_info(self.verbs[name], pretty_exceptions_short=False, rich_markup_mode=None)


class Nouns(TyperGroup):
    """The top level: knows every noun's name and help, loads a noun's module only when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(NOUNS)

    def get_command(self, ctx: Any, name: str) -> Any:
        if name not in NOUNS:
            return None
        module = import_module(f"detmon.cli.{name.replace('-', '_')}")
        app: typer.Typer = module.app
        if app.info.no_args_is_help is True:
            return Verbs(app, getattr(module, "DEFAULT", None), name=name, help=NOUNS[name])
        command = typer.main.get_command(app)
        command.name = name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(NOUNS.items()))


app = typer.Typer(cls=Nouns, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        from detmon import __version__

        output.line(f"detmon {__version__}")
        raise typer.Exit


@app.callback()
def detmon(
    ctx: typer.Context,
    db: Annotated[Path | None, typer.Option(help="The store (default: ./detmon.duckdb).", envvar="DETMON_DB")] = None,
    config: Annotated[
        Path | None, typer.Option(help="Configuration file (default: ./detmon.toml).", envvar="DETMON_CONFIG")
    ] = None,
    now: Annotated[str | None, typer.Option(help="Use this time as the clock.", envvar="DETMON_NOW")] = None,
    lock_timeout: Annotated[
        str | None, typer.Option(help="How long to wait for other processes, in seconds (default: 60).")
    ] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No notes on stderr.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="More notes on stderr.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Watch object-detection models in production.

    Example: detmon ingest logs/*.parquet && detmon alert check
    """
    ctx.obj = Session(db, config, now, lock_timeout, verbose - quiet)


def main(argv: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    output.prepare()
    sys.exit(run(argv))


def run(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. No traceback reaches a user unless DETMON_DEBUG=1."""
    command = typer.main.get_command(app)
    try:
        _check_letters(sys.argv[1:] if argv is None else argv)
        result = command.main(args=argv, prog_name="detmon", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except typer.Exit as leave:
        return leave.exit_code
    except DetmonError as error:
        return _failed(error, error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:
        return _reader_gone()
    except SystemExit as leave:  # typer's and rich's answer to a closed pipe
        if isinstance(leave.__context__, BrokenPipeError):
            return _reader_gone()
        raise
    except OSError as error:
        return _failed(OperationError(f"{error.filename or 'writing the output'}: {error.strerror or error}"), 4)
    except Exception as error:
        if hasattr(error, "format_message"):  # typer's own: an unknown option, a missing argument
            if os.environ.get("DETMON_DEBUG") == "1":
                raise
            if type(error).__name__ == "NoArgsIsHelpError":
                sys.stderr.write(error.format_message() + "\n")
                return 2
            return _failed(UsageError(" ".join(error.format_message().split()), _usage_hint(error)), 2)
        if os.environ.get("DETMON_DEBUG") == "1":
            raise
        unexpected = DetmonError(
            f"unexpected {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            "this is a fault of detmon; DETMON_DEBUG=1 shows the traceback",
        )
        return _failed(unexpected, unexpected.exit_code)


def _check_letters(argv: list[str]) -> None:
    for argument in argv:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise UsageError(f"{argument!r} is not UTF-8", "rename the file, or set a UTF-8 locale") from None


def _reader_gone() -> int:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter complains at exit
    return 141


def _failed(error: DetmonError, code: int) -> int:
    output.complain(error)
    if os.environ.get("DETMON_DEBUG") == "1":
        raise error
    return code


def _usage_hint(error: Any) -> str | None:
    ctx = error.ctx
    if ctx is None:
        return None
    wrong = re.match(r"No such (?:command|option):? '?([^'.]+)", error.format_message())
    known = ctx.command.list_commands(ctx) if hasattr(ctx.command, "list_commands") else []
    alike = nearest(wrong[1], known) if wrong else None
    return f"did you mean {alike!r}?" if alike else f"{ctx.command_path} --help"

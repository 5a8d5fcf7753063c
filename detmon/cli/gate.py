"""`detmon gate`."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from detmon.cli import options, output, report
from detmon.cli.report import Report, ReportFormat, Section, Table

if TYPE_CHECKING:
    from detmon.gate import GateCheck, GateResult

app = typer.Typer(rich_markup_mode=None, add_completion=False)


class GateFormat(StrEnum):
    """How a gate's decision is printed."""

    text = "text"
    json = "json"
    markdown = "markdown"
    html = "html"
    junit = "junit"
    github = "github"


@app.command()
def gate(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="A gate of the configuration: [gate.NAME].")],
    json: options.Json = False,
    format: Annotated[GateFormat, typer.Option("--format", help="How to print it.")] = GateFormat.text,
) -> None:
    """Let CI decide: exit 0 when the gate passes, 1 when it fails, 3 when it cannot be decided.

    Example: detmon gate promote --format github
    """
    found = options.client(ctx).run_gate(name)
    if format is GateFormat.junit and not json:
        output.text(_junit(found))
    elif format is GateFormat.github and not json:
        output.text("\n".join(_github(found)))
    else:
        report.show(_report(found), found, ReportFormat.json if json else ReportFormat(format.value))
    raise typer.Exit(found.exit_code)


_SAYS = {"pass": "passes", "fail": "fails", "undecided": "cannot be decided"}


def _report(found: GateResult) -> Report:
    rows = [
        {"check": one.check, "status": one.status, "observed": one.observed, "required": one.required}
        for one in found.checks
    ]
    said = [f"{one.check}: {one.message}" for one in found.checks]
    return Report(f"Gate {found.gate}", f"The gate {_SAYS[found.decision]}.", [Section("Checks", [Table(rows), *said])])


def _weight(found: GateResult, check: GateCheck) -> str:
    """What a check means for CI: where one passing check is enough, another that fails is no failure."""
    return "aside" if found.decision == "pass" != check.status else check.status


def _junit(found: GateResult) -> str:
    """A test suite: a check that fails is a failure, an undecided one an error."""
    from xml.etree import ElementTree

    tags = {"fail": "failure", "undecided": "error", "aside": "skipped"}
    suite = ElementTree.Element("testsuite", name=f"gate {found.gate}", tests=str(len(found.checks)))
    weights = [_weight(found, check) for check in found.checks]
    for name, weight in (("failures", "fail"), ("errors", "undecided"), ("skipped", "aside")):
        suite.set(name, str(weights.count(weight)))
    for check, weight in zip(found.checks, weights, strict=True):
        case = ElementTree.SubElement(suite, "testcase", classname=f"gate.{found.gate}", name=check.check)
        message = output.printable(check.message)
        if weight in tags:
            ElementTree.SubElement(case, tags[weight], message=message)
        else:
            ElementTree.SubElement(case, "system-out").text = message
    ElementTree.indent(suite)
    return '<?xml version="1.0"?>\n' + ElementTree.tostring(suite, encoding="unicode")


def _github(found: GateResult) -> Iterator[str]:
    """Annotations of a workflow run."""
    words = {"fail": "error", "undecided": "warning"}
    for check in found.checks:
        title = _escaped(f"gate {found.gate}: {check.check}").replace(":", "%3A").replace(",", "%2C")
        message = _escaped(f"{check.status}: {check.message}")
        yield f"::{words.get(_weight(found, check), 'notice')} title={title}::{message}"
    yield f"The gate {_SAYS[found.decision]}."


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

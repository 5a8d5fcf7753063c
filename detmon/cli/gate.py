"""`detmon gate`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from detmon.cli import options, output, report
from detmon.cli.report import Report, ReportFormat, Section, Table
from detmon.errors import DetmonError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

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
    chosen = GateFormat.json if json else format
    try:
        found = options.client(ctx).run_gate(name)
    except DetmonError as error:
        _tell_error(name, error, chosen)
        raise
    if chosen is GateFormat.junit:
        output.verbatim(_junit(found))
    elif chosen is GateFormat.github:
        for line in _github(found):
            output.line(line)
        _tell_workflow(found.decision, report.markdown(_report(found)))
    else:
        report.show(_report(found), found, ReportFormat(chosen.value))
    raise typer.Exit(found.exit_code)


def _tell_error(name: str, error: DetmonError, format: GateFormat) -> None:
    """Tell CI, in its format, that the gate could not be run."""
    if format is GateFormat.junit:
        output.verbatim(_junit_error(name, error))
    elif format is GateFormat.github:
        said = f"{error.message} ({error.hint})" if error.hint else error.message
        output.line(_annotation("error", f"gate {name}", said))
        _tell_workflow("error", report.markdown(Report(f"Gate {name}", f"The gate could not be run: {said}")))


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
    """A test suite: a check that fails is a failure; one that is undecided, or fails aside, is skipped."""
    from xml.etree import ElementTree

    suite, counts = _suite(found.gate), Counter({"failures": 0, "skipped": 0})
    for check in found.checks:
        case, weight = _case(suite, found.gate, check.check), _weight(found, check)
        message = output.printable(f"{check.status}: {check.message}")
        if weight == "fail":
            ElementTree.SubElement(case, "failure", message=message, type="gate")
            counts["failures"] += 1
        elif weight != "pass":
            ElementTree.SubElement(case, "skipped", message=message)
            counts["skipped"] += 1
        ElementTree.SubElement(case, "system-out").text = message
    return _xml(suite, tests=len(found.checks), errors=0, **counts)


def _junit_error(name: str, error: DetmonError) -> str:
    """A test suite of one test that could not be run."""
    from xml.etree import ElementTree

    suite = _suite(name)
    case = _case(suite, name, f"gate {name}")
    wrong = ElementTree.SubElement(case, "error", message=output.printable(error.message), type=type(error).__name__)
    wrong.text = output.printable(error.hint or "")
    return _xml(suite, tests=1, failures=0, errors=1, skipped=0)


def _suite(gate: str) -> Element:
    from xml.etree import ElementTree

    return ElementTree.Element("testsuite", name=output.printable(f"gate {gate}"))


def _case(suite: Element, gate: str, name: str) -> Element:
    from xml.etree import ElementTree

    told = {"classname": f"gate.{gate}", "name": name, "time": "0"}
    return ElementTree.SubElement(suite, "testcase", {key: output.printable(text) for key, text in told.items()})


def _xml(suite: Element, **counts: int) -> str:
    from xml.etree import ElementTree

    for key, n in counts.items():
        suite.set(key, str(n))
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


# --- GitHub --------------------------------------------------------------------------------------------------------

ANNOTATIONS = 10
"""So many of a kind are shown of a step; the summary has all."""
SUMMARY_BYTES = 900_000
"""A step's summary is lost as a whole above 1 MiB."""


def _github(found: GateResult) -> Iterator[str]:
    """Annotations of a workflow run, and the verdict."""
    words = {"fail": "error", "undecided": "warning"}
    shown: Counter[str] = Counter()
    for check in found.checks:
        kind = words.get(_weight(found, check), "notice")
        shown[kind] += 1
        if shown[kind] <= ANNOTATIONS:
            yield _annotation(kind, f"gate {found.gate}: {check.check}", f"{check.status}: {check.message}")
    yield f"The gate {_SAYS[found.decision]}."


def _annotation(kind: str, title: str, message: str) -> str:
    """A workflow command; values and properties escape what would end them."""
    title = _escaped(title).replace(":", "%3A").replace(",", "%2C")
    return f"::{kind} title={title}::{_escaped(message)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _tell_workflow(decision: str, summary: str) -> None:
    """Append the summary and the output `decision` of the step to the files that GitHub names."""
    encoded = summary.encode("utf-8", "replace")
    if len(encoded) > SUMMARY_BYTES:
        encoded = encoded[:SUMMARY_BYTES].rpartition(b"\n")[0] + b"\n\n(cut: the summary was too long)\n"
    for variable, content in (("GITHUB_STEP_SUMMARY", encoded), ("GITHUB_OUTPUT", f"decision={decision}\n".encode())):
        if path := os.environ.get(variable):
            with open(path, "ab") as file:
                file.write(content)

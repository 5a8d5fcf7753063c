"""`config check` and `config schema`: every mistake, with its file and key; the schema knows what the program knows."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Shell
from jsonschema import Draft202012Validator

from detmon.config import ANY, ANY_TABLE, KEYS

EXAMPLE = """
db = "detmon.duckdb"
lock_timeout = "60s"
backend = { url = "sc://host:15002", path = "logs/*/*.parquet" }
ingest."logs/cam-*.csv" = { tz = "Europe/Madrid" }
maintenance = [{ name = "night works", zone = "Europe/Madrid", days = ["Sat"], start = "23:00", end = "05:00", match = ["source=cam-3"] }]
metrics.truck_share = { sql = "avg(CASE WHEN label = 'truck' THEN 1.0 ELSE 0.0 END)", over = "detections", unit = "share", bad = "down", min_samples = 30 }

[models."vehicles@3"]
zone = "Europe/Madrid"
baseline = "2026-01-01:2026-01-31"
[models."vehicles@3".engine]
dataset = "review"
salt = "detmon"
low_confidence = { enabled = true, threshold = 0.6, sample_rate = 0.3 }
edge_cases = { enabled = true, conditions = ["no_detections", "high_density", "unusual_size"], rate = 1.0 }
random_sample = { enabled = true, rate = 0.05 }
rare_classes = { enabled = true, share = 0.01, rate = 0.5 }
new_classes = { enabled = true, rate = 1.0 }
disagreement = { enabled = true, other_model = "vehicles@2", iou = 0.5, rate = 0.5 }
budget = { per_day = 200, per_source_day = 20, gap = "10s" }
[[alerts]]
name = "Low Confidence Alert"
model = "vehicles@3"
condition = { metric = "avg_confidence", operator = "lt", threshold = 0.7, window = "1h" }
notify = ["email:team@company.com", "slack:#ml-alerts"]
[[ab_tests]]
name = "v3 against v4"
model_a = "vehicles@3"
model_b = "vehicles@4"
config = { traffic_split = 0.1, metrics = ["confidence", "latency", "feedback_score"], duration_days = 7, start = "2026-03-02T00:00:00Z" }
[notify]
default = ["slack:#ml-alerts"]
slack.token = "env:SLACK_BOT_TOKEN"
[gate.retrain]
model = "vehicles@3"
require = "any"
checks = [
  { check = "drift", expect = true },
  { check = "metric", metric = "precision", operator = "lt", threshold = 0.85, period = "last 28d" },
  { check = "items", dataset = "review", status = "reviewed", operator = "ge", threshold = 200 },
]
[gate.promote]
model = "vehicles@4"
checks = [{ check = "ab", test = "v3 against v4", winner = "b" }, { check = "alerts", operator = "le", threshold = 0 }]
[training]
trainer = "command"
command = ["python", "train.py", "--data", "{dataset}/data.yaml"]
timeout = "24h"
"""  # noqa: E501 (as people write it)


@pytest.fixture
def validator(detmon: Shell) -> Draft202012Validator:
    schema = detmon("config", "schema").json
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def template() -> dict[str, Any]:
    """The template with every commented setting switched on."""
    text = (ROOT / "configs" / "detmon.toml").read_text("utf-8")
    return tomllib.loads(re.sub(r"^# (?=\[|\w+ = )", "", text, flags=re.M))


def test_the_schema_takes_the_template_and_an_example_of_everything(validator: Draft202012Validator) -> None:
    for settings in (template(), tomllib.loads(EXAMPLE), {}):
        assert [error.message for error in validator.iter_errors(settings)] == []


@pytest.mark.parametrize(
    "wrong",
    [
        "dbb = 'x'",
        "lock_timeout = 'soon'",
        "lock_timeout = 60",
        "ingest.'*' = { box_format = 'xyzw' }",
        "metrics.m = { sql = 'x', over = 'images' }",
        "models.m.zonne = 'UTC'",
        "models.m.engine.low_confidence.threshold = 2",
        "models.m.engine.low_confidence.thresh = 0.2",
        "[[alerts]]\nname = 'a'",
        "[[alerts]]\nname = 'a'\nmodel = 'm'\noperator = '<'",
        "[[alerts]]\nname = 'a'\nmodel = 'm'\ncondition = { window = '1 hour' }",
        "[[alerts]]\nname = 'a'\nmodel = 'm'\nseverty = 'info'",
        "[[ab_tests]]\nname = 't'\nmodel_a = 'a'\nmodel_b = 'b'\nconfig = { traffic_split = 1.5 }",
        "[[ab_tests]]\nname = 't'\nmodel_a = 'a'\nmodel_b = 'b'\nmetrics = ['speed']",
        "notify.email.port = '587'",
        "notify.email.hots = 'x'",
        "drift.q = 'low'",
        "drift.weekend = ['Saturday']",
        "quality.assume_random = 1",
        "gate.g = { model = 'm' }",
        "gate.g = { checks = [{ check = 'vibes' }] }",
        "plugins.disable = 'x'",
    ],
)
def test_the_schema_refuses_what_is_wrong(validator: Draft202012Validator, wrong: str) -> None:
    assert not validator.is_valid(tomllib.loads(wrong))


def test_the_schema_has_the_keys_that_the_program_knows(validator: Draft202012Validator) -> None:
    for path, keys in KEYS.items():
        found: Any = validator.schema
        for name in path.split(".") if path else ():
            found = found["additionalProperties"] if name == ANY else found["properties"][name]
            found = found.get("items", found)
        assert {*keys} - {ANY, ANY_TABLE} <= found.get("properties", {}).keys(), path


def test_the_schema_says_defaults_and_what_they_mean(validator: Draft202012Validator) -> None:
    properties = validator.schema["properties"]
    assert properties["drift"]["properties"]["q"]["default"] == 0.05
    assert "false alarms" in properties["drift"]["properties"]["q"]["description"]
    alert = properties["alerts"]["items"]["properties"]
    assert alert["catch_up"]["default"] == "1d"
    assert alert["severity"] == {"enum": ["info", "warning", "error", "critical"], "default": "warning"}
    assert properties["ab"]["properties"]["min_units"]["default"] == 30


def test_check_tells_every_mistake_at_once(detmon: Shell) -> None:
    Path("detmon.toml").write_text(
        """
        dbb = "x"
        lock_timeout = "soon"
        [drift]
        q = 7
        [ab]
        alhpa = 0.1
        [quality]
        iou = 0.05
        [backend]
        url = 5
        [ingest."*.csv"]
        tz = "Mars"
        [metrics.mine]
        sql = "avg(latency_ms)"
        over = "images"
        [models.m]
        baseline = "soon"
        [[alerts]]
        name = "a"
        model = "m"
        metric = "avg_confidnce"
        operator = "lt"
        threshold = 0.5
        window = "1h"
        [[alerts]]
        name = "b"
        model = "m"
        metric = "avg_confidence"
        operator = "below"
        threshold = 0.5
        window = "1h"
        [gate.g]
        checks = [{ check = "vibes" }]
        [notify]
        default = ["slak:#x"]
        """
    )
    err = detmon("config", "check", code=2).err
    for said in (
        "detmon.toml: unknown key 'dbb'",
        "lock_timeout: 'soon' is not a duration",
        "detmon.toml: [drift] q = 7",
        "detmon.toml: unknown key 'alhpa' in [ab]",
        "detmon.toml: [quality] background_iou = 0.1 is not below iou = 0.05",
        "detmon.toml: [backend] url: 5 is not text",
        "unknown time zone 'Mars'",
        "detmon.toml: [metrics.mine] over = 'images'",
        "detmon.toml: [models.\"m\"]: 'soon' is not a period",
        "detmon.toml: [[alerts]] 1 \"a\": unknown metric 'avg_confidnce'",
        "detmon.toml: [[alerts]] 2 \"b\": unknown operator 'below'",
        "unknown check of a gate 'vibes'",
        "detmon.toml: unknown notification scheme 'slak'",
    ):
        assert said in err, err
    assert err.count("error: ") == 13


def test_check_tells_all_that_is_wrong_with_one_declaration(detmon: Shell) -> None:
    Path("detmon.toml").write_text(
        """
        [[alerts]]
        name = "a"
        metric = "avg_confidnce"
        operator = "below"
        threshold = "many"
        window = "5x"
        notfy = "stdout:"
        notify = ["slak:#x", "webhook:"]
        [[alerts]]
        name = 3
        model = "m"
        metric = "avg_confidence"
        """
    )
    err = detmon("config", "check", code=2).err
    for said in (
        '[[alerts]] 1 "a": needs model',
        "[[alerts]] 1 \"a\": unknown metric 'avg_confidnce'",
        "[[alerts]] 1 \"a\": unknown operator 'below'",
        "[[alerts]] 1 \"a\": threshold: 'many' is not a finite number",
        "[[alerts]] 1 \"a\": window: '5x' is not a duration",
        "[[alerts]] 1 \"a\": unknown field of an alert 'notfy'",
        "[[alerts]] 1 \"a\": unknown notification scheme 'slak'",
        "[[alerts]] 1 \"a\": 'webhook:' is no name",
        "[[alerts]] 2: name = 3 is not a text",
        "[[alerts]] 2: an alert needs operator",
        "[[alerts]] 2: an alert needs threshold",
        "[[alerts]] 2: an alert needs window",
    ):
        assert said in err, err
    assert err.count("error: ") == 12


def test_check_finds_what_is_declared_twice(detmon: Shell) -> None:
    alert = """
        [[alerts]]
        name = "a"
        model = "m"
        metric = "avg_confidence"
        operator = "lt"
        threshold = 0.5
        window = "1h"
        """
    test = "[[ab_tests]]\nname = 't'\nmodel_a = 'm'\nmodel_b = 'n'\n"
    Path("detmon.toml").write_text(alert + alert.replace('"m"', '"n"') + alert.replace("0.5", "0.6") + test + test)
    err = detmon("config", "check", code=2).err
    assert '[[alerts]] 3 "a": its model has this alert already, further up' in err
    assert '[[ab_tests]] 2 "t": a test of this name is declared already, further up' in err
    assert err.count("error: ") == 2


def test_a_secret_in_plain_text_is_a_mistake_and_a_table_that_nobody_reads_a_warning(detmon: Shell) -> None:
    Path("detmon.toml").write_text(
        """
        [notify]
        default = ["slack:#x"]
        [notify.slack]
        token = "xoxb-very-secret"
        [notify.webhook.ops]
        url = "http://example.com"
        secret = "also-secret"
        [notify.webhok.ops]
        url = "https://example.com"
        """
    )
    err = detmon("config", "check", code=2).err
    assert "detmon.toml: slack:#x: [notify.slack] token is written as plain text" in err
    assert "detmon.toml: webhook:ops: [notify.webhook.ops] secret is written as plain text" in err
    assert "very-secret" not in err
    assert "also-secret" not in err
    text = Path("detmon.toml").read_text().replace("token =", "allow_plain_secrets = true\ntoken =")
    Path("detmon.toml").write_text(text.replace("also-secret", "env:NO_SUCH"))
    told = detmon("config", "check").err
    assert "warning: [notify.webhok]: no plugin here has this scheme; did you mean 'webhook'?" in told
    assert "url: http only to this machine" in told


def test_a_byte_order_mark_is_no_mistake(detmon: Shell) -> None:
    Path("detmon.toml").write_bytes(b"\xef\xbb\xbf[notify]\nzone = 'UTC'\n")
    assert "nothing wrong" in detmon("config", "check").err


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("notify.email.port = 'x'", "[notify.email] port: 'x' is not a whole number"),
        ("notify.email.port = 0", "[notify.email] port: 0 is out of range"),
        ("notify.email.tls = 'ssl'", "[notify.email] tls: 'ssl' is not one of starttls, implicit, none"),
        ("notify.slack.webhooks = { a = 1 }", "[notify.slack.webhooks] a: 1 is not text"),
        ("notify.email.subject_state = 'no'", "[notify.email] subject_state: 'no' is not true or false"),
        ("plugins.disable = [1]", "[plugins] disable 1: 1 is not text"),
        ("plugins = 3", "plugins: 3 is not a table"),
        ("metrics = 3", "[metrics] must be a table"),
        ("gate = 3", "[gate] must be a table"),
        ("ingest.'a b' = { complete = 'yes' }", "complete: 'yes' is not true or false"),
        ("ingest.'x' = { map = 5 }", "map: 5 is not text or a list or a table"),
    ],
)
def test_check_names_file_and_key_of_wrong_types(detmon: Shell, text: str, complaint: str) -> None:
    Path("detmon.toml").write_text(text)
    err = detmon("config", "check", code=2).err
    assert "detmon.toml: " in err
    assert complaint in err


def test_check_names_the_file_of_the_two(detmon: Shell) -> None:
    user = Path(".config/detmon/detmon.toml")
    user.parent.mkdir(parents=True)
    user.write_text("[drift]\nq = 7\n")
    Path("detmon.toml").write_text("[ab]\nalpha = 7\n")
    err = detmon("config", "check", code=2).err
    assert f"{user.absolute()}: [drift] q = 7" in err
    assert "detmon.toml: [ab] alpha = 7" in err


def test_what_a_declared_alert_lacks_is_a_warning(detmon: Shell) -> None:
    Path("detmon.toml").write_text(EXAMPLE)
    found = detmon("config", "check")
    assert "warning: slack:#ml-alerts: " in found.err
    assert "warning: email:team@company.com: " in found.err


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[maintenance]]\nname = 'n'\nstart = '1:00'\nend = '02:00'", "[[maintenance]] n start: "),
        (
            "[[maintenance]]\nname = 'n'\nstart = '01:00'\nend = '02:00'\ndayz = []",
            "unknown key 'dayz' in [maintenance]",
        ),
        ("[[maintenance]]\nname = 'n'\nstart = '01:00'\nend = '02:00'\nmatch = ['a=~(']", "[[maintenance]] n match: "),
        ("[[inhibit]]\nsource = ['a=b']", "[[inhibit]] 1 needs target"),
        ("inhibit = 3", "[[inhibit]] must be tables"),
        ("[anomaly]\nz = 99", "[anomaly] z = 99"),
    ],
)
def test_check_reads_what_alerts_go_by(detmon: Shell, text: str, complaint: str) -> None:
    Path("detmon.toml").write_text(text)
    assert f"detmon.toml: {complaint}" in detmon("config", "check", code=2).err

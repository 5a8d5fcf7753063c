"""`detmon apply`: a file's declarations come true, all or none, once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from conftest import Shell
from stored import BASE, Row, store, text

FILE = """
[models."vehicles@3"]
zone = "Europe/Madrid"
uri = "s3://models/3.pt"
[models."vehicles@4"]
[models."vehicles@3".engine]
dataset = "review"
low_confidence = { threshold = 0.6, sample_rate = 0.3 }
disagreement = { other_model = "vehicles@4" }
[[alerts]]
name = "Low Confidence Alert"
model = "vehicles@3"
condition = { metric = "avg_confidence", operator = "lt", threshold = 0.7, window = "1h" }
notify = ["file:/tmp/told.jsonl"]
[[alerts]]
name = "slow"
model_id = "vehicles@3"
metric = "avg_latency_ms"
operator = "gt"
threshold = 50
window = "5m"
[[ab_tests]]
name = "v3 against v4"
model_a = "vehicles@3"
model_b = "vehicles@4"
config = { traffic_split = 0.1, metrics = ["confidence", "latency"], duration_days = 7 }
"""


def declare(detmon: Shell, content: str = FILE) -> Path:
    path = detmon.folder / "detmon.toml"
    path.write_text(content)
    return path


def apply(detmon: Shell, *args: object, at: float = 0) -> dict[str, list[dict[str, object]]]:
    """What became of the file: result → the things, without the parts that are empty."""
    done = detmon("--now", text(at), "apply", *args, "--json").json
    return {key: value for key, value in done.items() if isinstance(value, list) and value}


def names(done: dict[str, list[dict[str, object]]]) -> dict[str, list[str]]:
    return {key: [f"{one['kind']} {one['name']}" for one in value] for key, value in done.items()}


ALL = [
    "model vehicles@3",
    "model vehicles@4",
    "engine review",
    "alert Low Confidence Alert",
    "alert slow",
    "ab_test v3 against v4",
]


def test_the_second_time_nothing_is_written(detmon: Shell) -> None:
    declare(detmon)
    assert names(apply(detmon)) == {"created": ALL}
    before = Path("detmon.duckdb").read_bytes()
    assert names(apply(detmon, at=600)) == {"unchanged": ALL}
    assert Path("detmon.duckdb").read_bytes() == before
    assert detmon("model", "show", "vehicles@3", "--json").json["zone"] == "Europe/Madrid"
    assert detmon("engine", "show", "--json").json[0]["config"]["low_confidence"]["threshold"] == 0.6
    rules = {row["name"]: row for row in detmon("alert", "list", "--json").json}
    assert rules["Low Confidence Alert"]["threshold"] == 0.7
    assert detmon("ab", "list", "--json").json[0]["metrics"] == ["confidence", "latency"]


def test_what_it_makes_is_what_the_verbs_make(detmon: Shell) -> None:
    detmon("model", "register", "vehicles", "--version", "3")
    condition = ["--metric", "avg_latency_ms", "--operator", "gt", "--threshold", "50", "--window", "5m"]
    detmon("alert", "create", "slow", "--model", "vehicles@3", *condition)
    declare(detmon)
    done = apply(detmon)
    assert "alert slow" in names(done)["unchanged"]
    (changed,) = done["changed"]
    assert (changed["kind"], changed["name"]) == ("model", "vehicles@3")
    assert changed["difference"] == {"zone": [None, "Europe/Madrid"], "uri": [None, "s3://models/3.pt"]}


def test_a_dry_run_shows_the_difference_and_writes_nothing(detmon: Shell) -> None:
    path = declare(detmon)
    assert names(apply(detmon, "--dry-run")) == {"created": ALL}
    assert not Path("detmon.duckdb").exists()
    apply(detmon)
    before = Path("detmon.duckdb").read_bytes()
    path.write_text(FILE.replace("threshold = 0.7", "threshold = 0.65").replace("0.6,", "0.5,"))
    shown = detmon("apply", "--dry-run")
    assert "alert Low Confidence Alert of vehicles@3\n           threshold: 0.7 → 0.65" in shown.out
    assert "engine review of vehicles@3\n           low_confidence.threshold: 0.6 → 0.5" in shown.out
    assert "nothing is written" in shown.err
    assert Path("detmon.duckdb").read_bytes() == before
    assert len(apply(detmon)["changed"]) == 2


def test_an_edited_alert_is_closed_and_told(detmon: Shell) -> None:
    told = detmon.folder / "told.jsonl"
    content = FILE.replace("/tmp/told.jsonl", str(told))
    store(
        detmon.folder,
        [Row(BASE + timedelta(minutes=m), "vehicles@3", boxes=[("car", 0.5)]) for m in range(-60, 0)],
    )
    path = declare(detmon, content)
    apply(detmon)
    detmon("--now", text(0), "alert", "check")
    path.write_text(content.replace("threshold = 0.7", "threshold = 0.6"))
    apply(detmon, at=60)
    detmon("--now", text(120), "notify", "send")
    kinds = [event["kind"] for event in detmon("alert", "history", "Low Confidence Alert", "--json").json]
    assert "closed" in kinds
    assert [line.count('"closed"') > 0 for line in told.read_text().splitlines()] == [False, True]


def test_prune_removes_only_what_an_earlier_apply_made(detmon: Shell) -> None:
    path = declare(detmon)
    apply(detmon)
    condition = ["--metric", "avg_latency_ms", "--operator", "gt", "--threshold", "90", "--window", "5m"]
    detmon("alert", "create", "by hand", "--model", "vehicles@3", *condition)
    path.write_text('[models."vehicles@3"]\n')
    done = apply(detmon)
    assert sorted(names(done)["undeclared"]) == sorted(ALL[1:])
    assert "--prune removes it" in detmon("apply").err
    done = apply(detmon, "--prune", at=60)
    assert sorted(names(done)["removed"]) == sorted(ALL[2:])
    assert done["kept"][0]["name"] == "vehicles@4"  # the stopped test is of it
    assert [row["name"] for row in detmon("alert", "list", "--json").json] == ["by hand"]
    assert detmon("engine", "show", "--json").json == []
    assert detmon("ab", "list", "--json").json[0]["status"] == "stopped"
    assert names(apply(detmon, "--prune")) == {"unchanged": ["model vehicles@3"], "kept": ["model vehicles@4"]}
    path.write_text(FILE[: FILE.index("[[alerts]]")])
    assert names(apply(detmon))["created"] == ["engine review"]  # it comes back, with its past
    assert detmon("engine", "show", "--json").json[0]["revision"] == 2


def test_every_mistake_is_told_at_once_and_nothing_is_written(detmon: Shell) -> None:
    declare(
        detmon,
        FILE.replace("avg_confidence", "avg_confidnce").replace('"5m"', '"5x"').replace("Europe/Madrid", "Mars"),
    )
    failed = detmon("apply", code=2).err
    assert "[models.\"vehicles@3\"]: unknown time zone 'Mars'" in failed
    assert "[[alerts]] 1 \"Low Confidence Alert\": unknown metric 'avg_confidnce'" in failed
    assert "did you mean 'avg_confidence'?" in failed
    assert "[[alerts]] 2 \"slow\": window: '5x' is not a duration" in failed
    assert not Path("detmon.duckdb").exists()


def test_what_only_the_store_knows_to_be_wrong(detmon: Shell) -> None:
    detmon("model", "register", "trucks", "--version", "1")
    content = FILE.replace('model_b = "vehicles@4"', 'model_b = "vehicles@5"')
    declare(detmon, content.replace('model_id = "vehicles@3"', 'model = "x"') + "[models.trucks]\n")
    failed = detmon("apply", code=2).err
    assert "[[alerts]] 2 \"slow\": unknown model 'x'" in failed
    assert "[[ab_tests]] 1 \"v3 against v4\": unknown model 'vehicles@5'" in failed
    assert '[models."trucks"]: trucks is the name of trucks@1' in failed
    assert detmon("model", "list", "--json").json[0]["id"] == "trucks@1"
    assert len(detmon("model", "list", "--json").json) == 1


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("models = 3", "[models] must hold a table a model"),
        ("models.a = 3", '[models."a"] must be a table'),
        ("alerts = 3", "alerts must be a list of tables"),
        ("alerts = [3]", "[[alerts]] 1 must be a table"),
        ("[[alerts]]\nname = 'x'", '[[alerts]] 1 "x": needs model'),
        ("[[alerts]]\nname = 3", "[[alerts]] 1: name = 3 is not a text"),
        ("[[alerts]]\nname = 'x'\nmodel = 'm'\ncondition = 3", "condition must be a table"),
        ("[[alerts]]\nname = 'x'\nmodel = 'm'\nmetric = 'a'\ncondition.metric = 'b'", "metric: said twice"),
        ("[models.m]\nbaseline = 'last 7d'", "is another period every day"),
        ("[models.m]\nbaseline = 'soon'", "is not a period"),
        ("[models.m]\nengine = 3", "engine must be a table"),
        ("[models.m.engine]\nrandom_sample = { rate = 1 }", "engine needs a dataset"),
        ("[models.m.engine]\nrandom_sample = { rate = 2 }\ndataset = 'd'", "rate must be a number from 0 to 1"),
        ("[[ab_tests]]\nname = 't'\nmodel_a = 'm'\nmodel_b = 'n'\nstart = 3", "start = 3 is not a time"),
        ("[[ab_tests]]\nname = 't'\nmodel_a = 'm'\nmodel_b = 'n'\ntrafic_split = 3", "unknown setting of a test"),
    ],
)
def test_wrong_declarations(detmon: Shell, content: str, complaint: str) -> None:
    declare(detmon, content)
    assert complaint in detmon("apply", code=2).err


def test_the_same_twice_in_a_file(detmon: Shell) -> None:
    declare(detmon, FILE + FILE[FILE.index("[[alerts]]") : FILE.index("[[ab_tests]]")].replace("0.7", "0.9"))
    assert "has this alert already, further up" in detmon("apply", code=2).err


def test_a_test_is_not_changed_under_way(detmon: Shell) -> None:
    path = declare(detmon)
    apply(detmon)
    path.write_text(FILE.replace("traffic_split = 0.1", "traffic_split = 0.2"))
    assert '[[ab_tests]] 1 "v3 against v4": there is another test' in detmon("apply", code=2).err


def test_a_baseline_waits_for_its_log(detmon: Shell) -> None:
    content = '[models.m]\nbaseline = "2024-03-02:2024-03-03"\n'
    path = declare(detmon, content)
    waiting = apply(detmon)["waiting"]
    assert [(one["kind"], one["reason"]) for one in waiting] == [
        ("baseline", "m logged nothing in 2024-03-02:2024-03-03")
    ]
    store(detmon.folder, [Row(BASE - timedelta(hours=h), boxes=[("car", 0.9)]) for h in range(1, 60)])
    assert names(apply(detmon))["created"] == ["baseline m"]
    assert names(apply(detmon)) == {"unchanged": ["model m", "baseline m"]}
    path.write_text(content.replace("03-02:", "03-03:"))
    assert apply(detmon)["changed"][0]["difference"] == {"period": ["2024-03-02:2024-03-03", "2024-03-03:2024-03-03"]}
    path.write_text("[models.m]\n")
    assert names(apply(detmon, "--prune"))["removed"] == ["baseline m"]
    assert detmon("baseline", "show", "--json").json == []


def test_a_file_of_its_own_and_none_at_all(detmon: Shell) -> None:
    assert "no ./detmon.toml here" in detmon("apply", code=2).err
    assert "cannot read elsewhere.toml" in detmon("apply", "elsewhere.toml", code=2).err
    Path("rules.toml").write_text(FILE)
    assert names(apply(detmon, "rules.toml")) == {"created": ALL}


def test_a_late_failure_leaves_nothing(detmon: Shell) -> None:
    """The store after a failure in the last declaration is the store before."""
    declare(detmon, FILE + '[[ab_tests]]\nname = "late"\nmodel_a = "vehicles@3"\nmodel_b = "nobody"\n')
    detmon("apply", code=2)
    with duckdb.connect("detmon.duckdb") as con:
        tables = ("models", "alerts", "engines", "datasets", "ab_tests", "declared")
        assert [con.execute(f"SELECT count(*) FROM {table}").fetchone() for table in tables] == [(0,)] * 6

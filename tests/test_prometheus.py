"""`detmon export prometheus`: the text, what it says, how it is written, and the tools that read it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from datetime import timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest
from conftest import ROOT, Shell
from stored import BASE, Row, store, text

HOUR = [
    Row(
        BASE - timedelta(seconds=10 * number + 5),
        source=f"cam-{number % 2}",
        latency=10 + number % 3,
        boxes=[("car", 0.5), ("truck", 0.9)],
    )
    for number in range(300)
]


def export(detmon: Shell, *args: object) -> str:
    return detmon("--now", text(0), "export", "prometheus", *args).out


def rule(detmon: Shell, name: str = "low") -> None:
    condition = ["--metric", "avg_confidence", "--operator", "lt", "--threshold", "0.8", "--window", "1h"]
    detmon("alert", "create", name, "--model", "m", "--by", "source", "--severity", "error", *condition)


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (apt install prometheus prometheus-node-exporter)")
    return found


def test_metrics_alerts_and_counters(detmon: Shell) -> None:
    store(detmon.folder, HOUR)
    rule(detmon)
    detmon("--now", text(0), "alert", "check")
    lines = export(detmon).splitlines()
    for line in (
        'detmon_metric_value{model="m",metric="avg_confidence"} 0.7',
        'detmon_metric_value{model="m",metric="prediction_count"} 300',
        'detmon_metric_value{model="m",metric="data_age_seconds"} 5',
        'detmon_metric_value{model="m",metric="class_share",label="car"} 0.5',
        "# TYPE detmon_latency_seconds summary",
        'detmon_latency_seconds{model="m",quantile="0.5"} 0.011',
        'detmon_latency_seconds{model="m",quantile="0.95"} 0.012',
        'detmon_latency_mean_seconds{model="m"} 0.011',
        'detmon_alert_state{alert="low",model="m",severity="error"} 1',
        'detmon_alert_instances{alert="low",model="m",state="firing"} 2',
        'detmon_alert_instances{alert="low",model="m",state="no_data"} 0',
        f"detmon_check_timestamp_seconds {(BASE - type(BASE)(1970, 1, 1)).total_seconds():.0f}",
        'detmon_predictions_total{model="m"} 300',
        'detmon_notices{status="dead"} 0',
        "detmon_notices_sent_total 0",
    ):
        assert line in lines, line
    samples = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"\w+(\{.*\})? \S+", line) for line in samples)  # no timestamps
    assert not any("p99" in line or 'quantile="0.99"' in line for line in samples)  # 300 images are too few
    assert not any("precision" in line for line in samples)  # nobody reviewed


def test_no_number_where_there_is_none(detmon: Shell) -> None:
    store(detmon.folder, HOUR[:3])
    lines = export(detmon).splitlines()
    assert not [line for line in lines if "avg_confidence" in line or line.startswith("detmon_latency")]
    assert not [line for line in lines if "check_timestamp" in line]  # no check yet
    assert 'detmon_metric_value{model="m",metric="prediction_count"} 3' in lines
    assert 'prediction_count"} 1\n' in export(detmon, "--window", "10s")
    assert "longer than nothing" in detmon("export", "prometheus", "--window", "0s", code=2).err


def test_labels_are_escaped(detmon: Shell) -> None:
    evil = 'a"b\\c\nd'
    store(detmon.folder, [Row(BASE - timedelta(seconds=1), model=evil)])
    assert '{model="a\\"b\\\\c\\nd"} 1\n' in export(detmon)


def test_the_file_is_replaced_at_once_and_readable(detmon: Shell) -> None:
    store(detmon.folder, HOUR)
    folder = detmon.folder / "collector"
    folder.mkdir()
    out = folder / "detmon.prom"
    out.write_text("old")
    with out.open() as reader:
        done = detmon("--now", text(0), "export", "prometheus", "--out", out)
        assert reader.read() == "old"  # who reads meanwhile has the whole old file
    assert "samples in" in done.err
    assert done.out == ""
    assert out.read_text() == export(detmon)
    assert out.read_text().endswith("\n")
    assert [path.name for path in folder.iterdir()] == ["detmon.prom"]
    assert out.stat().st_mode & 0o777 == 0o644
    failed = detmon("export", "prometheus", "--out", detmon.folder / "nowhere" / "x.prom", code=4)
    assert "cannot write" in failed.err
    assert detmon("--now", text(0), "export", "prometheus", "--json").json["out"] is None


def test_one_broken_metric_spoils_no_other(detmon: Shell) -> None:
    store(detmon.folder, HOUR)
    Path("detmon.toml").write_text('metrics.broken = { sql = "avg(nothing)", over = "predictions" }\n')
    done = detmon("--now", text(0), "export", "prometheus")
    assert "broken: " in done.err
    assert 'metric="avg_confidence"} 0.7\n' in done.out


def test_promtool_takes_it(detmon: Shell) -> None:
    promtool = tool("promtool")
    store(detmon.folder, HOUR)
    rule(detmon, 'quo"ted \\ Ärger')
    detmon("--now", text(0), "alert", "check")
    done = subprocess.run([promtool, "check", "metrics"], input=export(detmon), capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_shipped_rules(detmon: Shell) -> None:
    promtool = tool("promtool")
    for command in (
        ["check", "rules", ROOT / "configs" / "prometheus-rules.yml"],
        ["test", "rules", ROOT / "tests" / "prometheus-rules.test.yml"],
    ):
        done = subprocess.run([promtool, *map(str, command)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_name_what_is_exported(detmon: Shell) -> None:
    store(detmon.folder, HOUR)
    rule(detmon)
    detmon("--now", text(0), "alert", "check")
    exported = set(re.findall(r"^# TYPE (\w+)", export(detmon), re.M))
    rules = (ROOT / "configs" / "prometheus-rules.yml").read_text()
    assert set(re.findall(r"\bdetmon_\w+", rules)) <= exported


@pytest.mark.slow
def test_the_collector_of_the_node_exporter_takes_it(detmon: Shell) -> None:
    program = tool("prometheus-node-exporter")
    store(detmon.folder, HOUR)
    rule(detmon)
    detmon("--now", text(0), "alert", "check")
    folder = detmon.folder / "collector"
    folder.mkdir()
    detmon("--now", text(0), "export", "prometheus", "--out", folder / "detmon.prom")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    collector = ["--collector.disable-defaults", "--collector.textfile", f"--collector.textfile.directory={folder}"]
    command = [program, *collector, f"--web.listen-address={address}"]
    exporter = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        page = _page(f"http://{address}/metrics")
    finally:
        exporter.terminate()
        exporter.wait()
    assert 'detmon_metric_value{label="",metric="avg_confidence",model="m"} 0.7' in page
    assert 'detmon_alert_state{alert="low",model="m",severity="error"} 1' in page
    assert "node_textfile_scrape_error 0" in page


def _page(url: str) -> str:
    give_up = time.monotonic() + 20
    while True:
        try:
            with urlopen(url) as answer:
                return str(answer.read().decode())
        except OSError:
            if time.monotonic() > give_up:
                raise
            os.sched_yield()

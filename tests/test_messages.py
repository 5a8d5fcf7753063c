"""What people read: golden texts, zones, limits, and what labels must not do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from outbox_help import at, item, notice

from detmon.notify import http
from detmon.notify.messages import Circumstances, clean, compose
from detmon.notify.secrets import Redactor

HERE = Circumstances(host="web-1")


def test_one_instance() -> None:
    usual = {"expected": 0.81, "low": 0.79, "high": 0.83, "days": 28, "z": -7.25}
    told = compose(notice("stdout:", item(labels={}, detail={**usual, "description": "Look at it"})), HERE)
    assert told.title == "FIRING · Low Confidence Alert · yolo-prod"
    assert told.text == (
        "FIRING  Low Confidence Alert · yolo-prod                              warning\n"
        "avg_confidence 0.642, threshold < 0.7, over 1h, n 412      since 2026-11-20 10:05 UTC\n"
        "usually 0.81 at this hour (28 days), 0.79 to 0.83; z -7.25\n"
        "Look at it\n"
        f"rule {item().alert_id} · slot 2026-11-20 10:05 UTC · host web-1 · detmon alert show 'Low Confidence Alert'"
    )


def test_many_instances() -> None:
    told = compose(notice("stdout:", *(item(number=number) for number in range(47))), HERE)
    assert (len(told.items), told.omitted) == (10, 37)
    assert "  source=cam-3   0.642   n 412   since 2026-11-20 10:05 UTC" in told.text
    assert "  and 37 more" in told.text


def test_several_kinds_are_told_apart() -> None:
    told = compose(notice("stdout:", item("firing"), item("resolved", number=2)), HERE)
    assert told.kind == "firing"
    assert "  FIRING   source=cam-1   0.642   n 412   since" in told.text
    assert "  RESOLVED   source=cam-2   0.642   n 412   fired 10:05, resolved 10:35 UTC (2026-11-20)" in told.text


def test_how_bad_it_was() -> None:
    told = compose(notice("stdout:", item("resolved", value=0.81, detail={"peak": 0.512})), HERE)
    assert "0.81   n 412   fired 10:05, resolved 10:35 UTC (2026-11-20), at worst 0.512" in told.text


def test_times_in_a_zone_carry_the_offset() -> None:
    told = compose(notice("stdout:"), replace(HERE, zone=ZoneInfo("Europe/Madrid")))
    assert "since 2026-11-20 11:05 +01:00" in told.text


def test_what_is_true_of_the_telling() -> None:
    about = replace(
        HERE,
        queued_at=at("10:05"),
        now=at("12:10"),
        maybe_repeat=True,
        footers=("⚠ slack:#x unreachable since 2026-11-20 10:05 UTC, 3 notices waiting",),
    )
    told = compose(notice("stdout:", late_by=timedelta(minutes=55)), about)
    assert told.text.splitlines()[-4:] == [
        "late by 55 min (the check did not run)",
        "delivered late: it waited 2 h 5 min",
        "may be a repeat: the previous attempt ended without an answer",
        "⚠ slack:#x unreachable since 2026-11-20 10:05 UTC, 3 notices waiting",
    ]


def test_reminders_health_and_reasons() -> None:
    silent = item("no_data", reason="no_rows", value=None, n=None, detail={"hint": "n 412 < 1000: use p95_latency_ms"})
    assert "no data (no_rows) since" in compose(notice("stdout:", silent), HERE).text
    assert "use p95_latency_ms" in compose(notice("stdout:", silent), HERE).text
    third = item("reminder", detail={"count": 3})
    assert "still firing since 2026-11-20 10:05 UTC, 3rd reminder" in compose(notice("stdout:", third), HERE).text


def test_a_text_fits_the_channel() -> None:
    many = notice("stdout:", *(item(number=number, labels={"source": "x" * 500}) for number in range(10)))
    told = compose(many, replace(HERE, max_chars=600))
    assert len(told.text) <= 600
    assert told.omitted > 0
    assert "x" * 81 not in told.text


@pytest.mark.parametrize("hostile", ["a\r\nb", "\x1b]0;title\x07", "\x9b31m", "\u202eevil", "\0"])
def test_labels_cannot_steer_a_terminal(hostile: str) -> None:
    assert all(char.isprintable() for char in clean(hostile))
    told = compose(notice("stdout:", item(alert=hostile, labels={"source": hostile})), HERE)
    assert all(char.isprintable() or char == "\n" for char in told.text)


def test_html_is_escaped() -> None:
    page = compose(notice("stdout:", item(alert="<b>&", labels={"source": "</td><script>"})), HERE).html
    assert "<script>" not in page
    assert "&lt;b&gt;&amp;" in page


def test_only_http_addresses_are_runbooks() -> None:
    told = compose(notice("stdout:", item(detail={"runbook": "https://wiki/low"})), HERE)
    assert told.links == {"runbook": "https://wiki/low"}
    assert "\nrunbook https://wiki/low\n" in told.text
    assert compose(notice("stdout:", item(detail={"runbook": "javascript:x"})), HERE).links == {}


# --- what may leave ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://hooks.example.com/x", True),
        ("http://127.0.0.1:8080/x", True),
        ("http://localhost/x", True),
        ("http://10.0.0.7/x", False),
        ("http://169.254.169.254/latest/meta-data", False),
        ("https://169.254.169.254/", False),
        ("https://[fe80::1]/", False),
        ("https://metadata.google.internal/", False),
        ("file:///etc/passwd", False),
        ("ftp://example.com/", False),
        ("https://", False),
        ("not a url", False),
        ("https://example.com:99999/", False),
    ],
)
def test_where_a_notice_may_go(url: str, good: bool) -> None:
    assert (http.refused(url) is None) is good


def test_http_elsewhere_must_be_allowed() -> None:
    assert http.refused("http://10.0.0.7/x", allow_http=True) is None
    assert http.refused("http://169.254.169.254/", allow_http=True) is not None


def test_secrets_and_their_parts_are_masked() -> None:
    redact = Redactor()
    redact.learn("https://hooks.slack.com/services/T0/B0/abcdefgh")
    redact.learn("p@ss word")
    redact.learn("short")
    assert redact("url: /services/T0/B0/abcdefgh") == "url: ***"
    assert redact("abcdefgh p@ss word p%40ss%20word") == "*** *** ***"
    assert redact("short") == "short"

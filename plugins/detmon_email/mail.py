"""A message as an e-mail: text first, HTML second, threads by episode."""

from __future__ import annotations

import re
import socket
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from detmon.hookspecs import Message, SendContext
from detmon.times import aware_utc


def build(message: Message, ctx: SendContext, address: str, sender: str | None) -> EmailMessage:
    """The letter; the same notice gives the same Message-ID on every attempt."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()) or "localhost"
    mail = EmailMessage(policy=SMTP)
    if sender:
        mail["From"] = sender
    mail["To"] = address
    mail["Subject"] = subject(message, with_state=ctx.config.get("subject_state", True) is not False)
    mail["Date"] = format_datetime(aware_utc(ctx.now))
    mail["Message-ID"] = f"<{ctx.notice_id}@detmon.{host}>"
    told = (ctx.receipt or {}).get("message_id")
    if told and told != mail["Message-ID"]:
        mail["In-Reply-To"] = told
        mail["References"] = told
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail["List-Id"] = f"detmon <detmon.{host}>"
    mail["X-Detmon-State"] = message.kind
    mail.set_content(message.text, cte="quoted-printable")
    mail.add_alternative(message.html, subtype="html", cte="quoted-printable")
    return mail


def subject(message: Message, *, with_state: bool) -> str:
    """`[FIRING:3] Low Confidence Alert · yolo-prod`; without the state it is the same for the whole story."""
    name = " · ".join(part for key in ("alertname", "model_id") if (part := message.labels.get(key)))
    if not with_state:
        return name
    test = "TEST " if message.title.startswith("TEST") else ""
    state = message.kind.replace("_", " ").upper()
    return f"[{test}{state}:{len(message.items) + message.omitted}] {name}"

"""`sendemail.*`: mails over SMTP."""

from __future__ import annotations

import smtplib
from email.message import EmailMessage

from examples.app import settings
from leveret import Fail, JobContext, job

TEMPLATES = {
    "welcome": ("Welcome, {name}", "Hello {name},\n\nit is good to have you here.\n"),
    "digest": ("Your digest, {name}", "Hello {name},\n\nthis was planned for {scheduled_for}, and nothing was missed.\n"),
    "greeting": ("A good new year, {name}", "Dear {name},\n\nmay all your jobs run once.\n"),
}


@job("sendemail.*", concurrency=20, timeout=60)
def send(ctx: JobContext, to: str, name: str = "you") -> dict[str, str]:
    """Send the mail that the job's type names, such as `sendemail.welcome`, to one address."""
    kind = ctx.type.removeprefix("sendemail.")
    if kind not in TEMPLATES:
        raise Fail(f"there is no template {kind!r}; there are {', '.join(TEMPLATES)}")
    due = f"{ctx.scheduled_for:%d %B %Y %H:%M} UTC"
    subject, text = (part.format(name=name, scheduled_for=due) for part in TEMPLATES[kind])
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = settings.SENDER, to, subject
    # The same in every attempt: who receives the mail twice, because a worker died right after sending it, can tell.
    message_id = f"<occurrence-{ctx.occurrence}@leveret.example.com>"
    mail["Message-ID"] = message_id
    mail.set_content(text)
    host, port = settings.SMTP
    try:
        with smtplib.SMTP(host, port, timeout=10) as smtp:
            smtp.send_message(mail)
    except smtplib.SMTPRecipientsRefused as error:
        code, reason = next(iter(error.recipients.values()))
        if code >= 500:  # for good; anything else is tried again by the job's policy
            raise Fail(f"{to} was refused: {code} {reason.decode(errors='replace')}") from error
        raise
    ctx.log.info("sent %r to %s", subject, to)
    return {"to": to, "subject": subject, "message_id": message_id}

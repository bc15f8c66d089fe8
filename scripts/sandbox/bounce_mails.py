"""Mails as others send them to a return path: DSN, delay, complaint, automatic reply."""


def _crlf(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode("utf-8")


def dsn(
    recipient: str, action: str = "failed", status: str = "5.1.1", original: str | None = None, said: str = ""
) -> bytes:
    """A DSN (RFC 3464) on mail to `recipient`."""
    said = said or f"550 {status} <{recipient}>: Recipient address rejected: User unknown"
    first = "" if original is None else f"Original-Recipient: rfc822;{original}\n"
    return _crlf(
        f"""\
From: Mail Delivery System <MAILER-DAEMON@mx.world.test>
To: hello@example.org
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

Your message could not be delivered to one or more recipients.

<{recipient}>: host mail.world.test said: {said}

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.world.test

{first}Final-Recipient: rfc822; {recipient}
Action: {action}
Status: {status}
Diagnostic-Code: smtp; {said}

--b
Content-Type: text/rfc822-headers

From: hello@example.org
To: {recipient}
Subject: x

--b--
"""
    )


def complaint(recipient: str | None, sender: str = "", kind: str = "abuse") -> bytes:
    """A complaint (ARF, RFC 5965); `sender` is the envelope sender it gives for the mail complained of."""
    named = "" if recipient is None else f"Original-Rcpt-To: <{recipient}>\n"
    mail_from = f"Original-Mail-From: <{sender}>\n" if sender else ""
    return _crlf(
        f"""\
From: <abusedesk@world.test>
To: complaints@bounces.example.org
Subject: FW: x
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: text/plain

This is an email abuse report.

--b
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: SomeGenerator/1.0
Version: 1
{mail_from}{named}
--b
Content-Type: message/rfc822

From: hello@example.org
To: <undisclosed>
Subject: x

Hello

--b--
"""
    )


VACATION = _crlf(
    """\
From: Jane <jane@world.test>
To: hello@example.org
Subject: Out of office: x
Auto-Submitted: auto-replied

I am away and will answer when I am back. In urgent cases write to joe@world.test.
"""
)

"""Postfix's log is read as Postfix 3.7 and 3.10 write it."""

from sandbox.maillog import LoggedDelivery, deliveries, refusals, trail

LOG = """\
Nov 24 08:36:54 mail postfix/smtp[1]: 5B82121410E: to=<gone@example.net>, relay=127.0.0.1[127.0.0.1]:1, delay=0.01, \
delays=0/0/0/0, dsn=4.3.0, status=deferred (host 127.0.0.1[127.0.0.1] said: 451 4.3.0 Later (in reply to RCPT))
Nov 24 08:36:55 mail postfix/smtp[1]: 5B82121410E: to=<gone@example.net>, orig_to=<a@b>, relay=x, dsn=2.0.0, \
status=sent (250 2.0.0 Ok)
Nov 24 08:36:55 mail postfix/smtp[1]: 5B82121410EX: to=<x@example.net>, relay=x, dsn=2.0.0, status=sent (250 Ok)
Nov 24 08:36:56 mail postfix/smtpd[2]: NOQUEUE: reject: RCPT from localhost[127.0.0.1]: 550 5.1.1 <gone@example.net>: \
Recipient address rejected: suppressed; from=<shop@example.org> to=<gone@example.net> proto=ESMTP helo=<h>
Nov 24 08:36:57 mail postfix/smtpd[2]: 6B8: reject: END-OF-MESSAGE from localhost[127.0.0.1]: 450 4.7.1 \
<END-OF-MESSAGE>: End-of-data rejected: Over; from=<shop@example.org> to=<team@example.net> proto=ESMTP helo=<h>
""".splitlines()


def test_each_try_to_deliver_is_read() -> None:
    """In order, with its reply whole; of that queue id alone."""
    assert deliveries(LOG, "5B82121410E") == [
        LoggedDelivery(
            "4.3.0",
            "deferred",
            "host 127.0.0.1[127.0.0.1] said: 451 4.3.0 Later (in reply to RCPT)",
        ),
        LoggedDelivery("2.0.0", "sent", "250 2.0.0 Ok"),
    ]
    assert deliveries(LOG, "5B8") == []


def test_mail_of_sendmail_is_followed_through_the_door() -> None:
    """By what the first queue id was taken as; what the listener refused is not its way."""
    log = [
        "Nov 24 08:00:00 mail postfix/cleanup[1]: AAA1: message-id=<1@example.org>",
        "Nov 24 08:00:00 mail postfix/postroom-sendmail/cleanup[1]: BBB2: message-id=<1@example.org>",
        "Nov 24 08:00:01 mail postfix/cleanup[1]: CCC3: message-id=<1@example.org>",
    ]
    assert trail(log, "<2@example.org>") == []
    assert trail(log, "<1@example.org>") == ["AAA1"]
    sent = (
        "postfix/postroom-door/smtp[1]: AAA1: to=<b@example.net>, relay=127.0.0.1[127.0.0.1]:1, dsn=2.0.0, status=sent"
    )
    log.append(f"Nov 24 08:00:01 mail {sent} (250 2.0.0 Ok: queued as CCC3)")
    assert trail(log, "<1@example.org>") == ["AAA1", "CCC3"]


def test_refusals_are_read_by_recipient() -> None:
    """At RCPT, and at the end of the message, as the client was told."""
    assert refusals(LOG, "gone@example.net") == ["550 5.1.1 <gone@example.net>: Recipient address rejected: suppressed"]
    assert refusals(LOG, "team@example.net") == ["450 4.7.1 <END-OF-MESSAGE>: End-of-data rejected: Over"]
    assert refusals(LOG, "nobody@example.net") == []

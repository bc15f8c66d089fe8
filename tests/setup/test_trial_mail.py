"""What became of a trial mail, as the log has it."""

from postroom.setup.trial_mail import TrialResult, log_result

LOG = """\
Nov 24 14:00:01 mail postfix/cleanup[1]: AAA1: message-id=<feed.sendmail@mail.example.org>
Nov 24 14:00:01 mail postfix/postroom-sendmail/smtpd[2]: BBB2: client=localhost[127.0.0.1], orig_queue_id=AAA1
Nov 24 14:00:01 mail postfix/cleanup[1]: BBB2: message-id=<feed.sendmail@mail.example.org>
Nov 24 14:00:01 mail postfix/postroom-door/smtp[3]: AAA1: to=<r@x>, relay=127.0.0.1, status=sent (250 queued as BBB2)
"""


def test_the_end_of_a_mail_is_not_its_way_to_the_door() -> None:
    """`sent` by the door's own transport is not delivered; the second queue id tells."""
    assert log_result("sendmail", "feed.sendmail", LOG).state == "queued"
    signed = "Nov 24 14:00:02 mail postroom-milter[4]: milter.signed queue_id=BBB2 door=sendmail\n"
    ended = "Nov 24 14:00:02 mail postfix/local[5]: BBB2: to=<r@x>, relay=local, status=sent (delivered to mailbox)\n"
    result = log_result("sendmail", "feed.sendmail", LOG + signed + ended)
    assert result == TrialResult("sendmail", "yes", "sent", "delivered to mailbox")
    assert result.is_well
    assert not log_result("sendmail", "feed.sendmail", LOG + ended).is_well


def test_a_mail_that_waits_at_the_door_shows_its_reason() -> None:
    """The milter is away, or a limit holds it."""
    waits = LOG.replace("status=sent (250 queued as BBB2)", "status=deferred (host said: 451 4.7.1 away)")
    result = log_result("sendmail", "feed.sendmail", "".join(waits.splitlines(keepends=True)[::3]))
    assert result == TrialResult("sendmail", "no", "deferred", "host said: 451 4.7.1 away")


def test_a_mail_that_is_nowhere_is_unknown() -> None:
    """Another's mail is not taken for it, whatever its mark begins with."""
    assert log_result("smtp", "fee.smtp", LOG).state == "unknown"

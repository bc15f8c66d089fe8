"""What a mail to the return path says, from messages of many servers."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.bounces.mime import ParseError
from postroom.bounces.report import ReturnedMail, read_report

MESSAGES = Path(__file__).parents[1] / "data" / "bounces" / "messages"
EXPECTED = json.loads((MESSAGES / "expected.json").read_text(encoding="utf-8"))


def said(found: ReturnedMail) -> list[tuple[str, str, str, str]]:
    return [(each.address, each.action, each.fault, each.suppress) for each in found.recipients]


def dsn(action: str, status: str, diagnostic: str = "", letter: str = "", subject: str = "Undelivered") -> bytes:
    return (
        f"From: MAILER-DAEMON@mx.example.org\nSubject: {subject}\nAuto-Submitted: auto-replied\n"
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n"
        f"--b\n\n{letter}\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.org\n\n"
        f"Final-Recipient: rfc822; jane@example.net\nAction: {action}\nStatus: {status}\n"
        f"Diagnostic-Code: smtp; {diagnostic}\n\n--b\nContent-Type: message/rfc822\n\n"
        "From: us@example.org\nTo: jane@example.net\n\n550 5.1.1 user unknown\n--b--\n"
    ).encode()


def letter(text: str, *headers: str) -> bytes:
    head = headers or ("From: MAILER-DAEMON@mx.example.net", "Subject: failure notice", "To: us@example.org")
    return ("\n".join(head) + "\n\n" + text).encode()


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_message_of_another_server_is_understood(name: str) -> None:
    """Kind, recipients, classes and what follows for each."""
    found = read_report((MESSAGES / name).read_bytes())
    assert found.kind == EXPECTED[name]["kind"]
    assert [
        {
            "address": each.address,
            "action": each.action,
            "status": each.status,
            "class": each.fault,
            "suppress": each.suppress,
        }
        for each in found.recipients
    ] == EXPECTED[name]["recipients"]


@pytest.mark.parametrize(
    ("action", "status", "kind", "suppress"),
    [
        ("failed", "5.1.1", "bounce", "now"),
        ("failed", "4.4.7", "bounce", "after"),
        ("delayed", "4.4.1", "delay", "never"),
        ("delayed", "5.1.1", "delay", "never"),
        ("delivered", "2.0.0", "success", "never"),
        ("relayed", "2.0.0", "success", "never"),
        ("expanded", "2.0.0", "success", "never"),
        ("deliverable", "2.1.5", "success", "never"),
    ],
)
def test_the_action_says_what_a_report_is(action: str, status: str, kind: str, suppress: str) -> None:
    """Only what failed can suppress, whatever reply stands beside."""
    found = read_report(dsn(action, status, "550 5.1.1 user unknown" if status[0] == "5" else "user unknown"))
    assert (found.kind, [each.suppress for each in found.recipients]) == (kind, [suppress])


def test_a_name_server_names_a_local_part_and_where_it_stands() -> None:
    """phquery: each NAME@domain it says mail goes to, and nobody of the other addresses in its advice."""
    found = read_report(
        letter(
            " --------Message not delivered to the following:\n\n jdoe    No matches to nameserver query\n"
            " asmith    No matches to nameserver query\n\n"
            "if mike.fox@example.edu fails, try michael.j.fox@example.edu. ``finger NAME@ns.example.edu''\n"
            "To reach a party that was formerly reachable by emailing NAME@example.edu,\n"
            "try emailing to NAME@cs.example.edu instead.\n"
        )
    )
    assert (found.kind, [each.address for each in found.recipients]) == (
        "bounce",
        ["jdoe@example.edu", "jdoe@cs.example.edu", "asmith@example.edu", "asmith@cs.example.edu"],
    )


def test_the_letter_helps_where_the_report_gives_no_reason() -> None:
    """Some write the reason for people only."""
    found = read_report(dsn("failed", "5.0.0", letter="<jane@example.net>: unknown user"))
    assert said(found) == [("jane@example.net", "failed", "invalid_recipient", "now")]


def test_the_mail_that_came_back_says_nothing() -> None:
    """It was written by us, or by a stranger."""
    assert said(read_report(dsn("failed", "5.0.0"))) == [("jane@example.net", "failed", "unknown", "never")]


@pytest.mark.parametrize(
    ("text", "recipients"),
    [
        # QSBMF, and its descendants
        (
            (
                "Hi. This is the qmail-send program at example.net.\n"
                "I'm afraid I wasn't able to deliver your message to the following addresses.\n\n"
                "<jane@example.net>:\nSorry, no mailbox here by that name. (#5.1.1)\n\n"
                "--- Below this line is a copy of the message.\n\nTo: other@example.net\n"
            ),
            [("jane@example.net", "failed", "invalid_recipient", "now")],
        ),
        # Exim
        (
            (
                "A message that you sent could not be delivered to one or more of its\nrecipients. "
                "The following address(es) failed:\n\n  jane@example.net\n"
                "    SMTP error from remote mail server after RCPT TO:<jane@example.net>:\n"
                "    550 Unrouteable address\n  john@example.net\n    mailbox is full: retry timeout exceeded\n\n"
                "------ This is a copy of the message ------\n"
            ),
            [
                ("jane@example.net", "failed", "invalid_recipient", "now"),
                ("john@example.net", "failed", "mailbox_full", "after"),
            ],
        ),
        # sendmail
        (
            (
                "   ----- The following addresses had permanent fatal errors -----\n<jane@example.net>\n\n"
                "   ----- Transcript of session follows -----\n... while talking to mx.example.net.:\n"
                ">>> RCPT To:<jane@example.net>\n<<< 550 5.1.1 unknown user\n"
            ),
            [("jane@example.net", "failed", "invalid_recipient", "now")],
        ),
        # Domino
        (
            (
                "Your message\n\n  Subject: Hello\n\nwas not delivered to:\n\n  jane@example.net\n\nbecause:\n\n"
                "  User jane (jane@example.net) not listed in Domino Directory\n"
            ),
            [("jane@example.net", "failed", "invalid_recipient", "after")],
        ),
        # MDaemon
        (
            (
                "The following message could not be delivered.\n\nFailed address: jane@example.net\n\n"
                "--- Session Transcript ---\n"
                "<-- 550 jane@example.net unknown user account\n"
            ),
            [("jane@example.net", "failed", "invalid_recipient", "now")],
        ),
        # Exchange
        (
            (
                "Delivery has failed to these recipients or groups:\n\nJane Doe (jane@example.net)\n"
                "The e-mail address you entered couldn't be found.\n\nDiagnostic information for administrators:\n\n"
                "jane@example.net\n#550 5.1.1 RESOLVER.ADR.RecipNotFound; not found ##\n\n"
                "Original message headers:\n\nTo: other@example.net\n"
            ),
            [("jane@example.net", "failed", "invalid_recipient", "now")],
        ),
        # an address in quotes
        (
            (
                'The following address failed:\n\n"jane@example.net":\n552-5.2.2 over quota\n\n'
                "--- The header of the original message is following. ---\nTo: other@example.net\n"
            ),
            [("jane@example.net", "failed", "mailbox_full", "after")],
        ),
        # MailMarshal
        (
            (
                "Your message:\n   From:    us@example.org\n   Subject: Hello\n\nCould not be delivered because of\n\n"
                "550 5.1.1 User unknown\n\nThe following recipients were affected:\n    jane@example.net\n"
            ),
            [("jane@example.net", "failed", "invalid_recipient", "now")],
        ),
        # a language nobody taught us, from a mail system
        (
            "Ez az üzenet nem jutott el:\n\n<jane@example.net>:\n550 5.1.1 unknown user\n",
            [("jane@example.net", "failed", "invalid_recipient", "now")],
        ),
        # within a sentence
        (
            (
                "Sorry, your mail could not be delivered to jane@example.net: mailbox quota exceeded.\n"
                "Questions? Contact postmaster@example.com\n"
            ),
            [("jane@example.net", "failed", "mailbox_full", "after")],
        ),
        ("It could not be delivered. Please write to help@example.com\n", []),
    ],
)
def test_a_letter_is_read(text: str, recipients: list[tuple[str, str, str, str]]) -> None:
    """Those whom it names, each with what is said of it; nobody to turn to, nobody of the copied mail."""
    found = read_report(letter(text))
    assert said(found) == recipients
    assert found.kind == ("bounce" if recipients else "other")


@pytest.mark.parametrize(
    ("headers", "text", "kind"),
    [
        (("From: jane@example.net", "Subject: Re: Hello", "Auto-Submitted: auto-replied"), "I am away.", "autoreply"),
        (("From: jane@example.net", "Subject: Out of office: Hello", "Return-Path: <>"), "I am away.", "autoreply"),
        (("From: jane@example.net", "Subject: Abwesenheitsnotiz", "Return-Path: <>"), "Bis Montag!", "autoreply"),
        (("From: jane@example.net", "Subject: Hi", "X-Autoreply: yes"), "john@example.net covers for me", "autoreply"),
        (("From: jane@example.net", "Subject: Hi", "Precedence: auto_reply"), "Away.", "autoreply"),
        (("From: jane@example.net", "Subject: Re: Hello"), "Thanks! My old address john@example.net is gone.", "other"),
        (
            ("From: jane@example.net", "Subject: Re: Hello"),
            "> 550 5.1.1 <john@example.net>: user unknown could not be delivered",
            "other",
        ),
        (
            ("From: jane@example.net", "Subject: please confirm", "Return-Path: <>"),
            "Your mail to jane@example.net could not be delivered yet. Please verify that you are a person: http://x.example",
            "other",
        ),
    ],
)
def test_what_is_no_bounce_suppresses_nobody(headers: tuple[str, ...], text: str, kind: str) -> None:
    """Answers of people and their programs, challenges, and quoted bounces."""
    found = read_report(letter(text, *headers))
    assert (found.kind, said(found)) == (kind, [])


ARF = """From: fbl@example.net
Content-Type: multipart/report; report-type=feedback-report; boundary=b

--b

This is an email abuse report.
--b
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: test/1
Version: 1
{fields}
--b
Content-Type: message/rfc822

From: us@example.org
To: Jane <jane@example.net>

--b--
"""


@pytest.mark.parametrize(
    ("kind", "fields", "address", "suppress"),
    [
        ("abuse", "Original-Rcpt-To: <john@example.net>", "john@example.net", "now"),
        ("abuse", "", "jane@example.net", "now"),
        ("fraud", "", "jane@example.net", "now"),
        ("not-spam", "", "jane@example.net", "never"),
        ("auth-failure", "", "jane@example.net", "never"),
    ],
)
def test_a_complaint_names_who_complained(kind: str, fields: str, address: str, suppress: str) -> None:
    """RFC 5965; reports of failed authentication (RFC 6591) and of "not spam" (RFC 6430) suppress nobody."""
    found = read_report(ARF.format(kind=kind, fields=fields).encode())
    assert (found.kind, said(found)) == ("complaint", [(address, "complained", "complaint", suppress)])


def test_an_empty_message_is_an_error() -> None:
    """As the parts have it."""
    with pytest.raises(ParseError, match="empty"):
        read_report(b"\n")


@pytest.mark.parametrize(
    "text",
    [
        "<a@example.net>:\n" * 60_000,
        "a@example.net " * 60_000,
        "could not be delivered to " + "a@" * 400_000,
        ('"' * 1000 + "\n") * 800,
        "Final-Recipient: rfc822;a@example.net\nAction: failed\n\n" * 15_000,
        "{" * 400_000 + "notificationType",
        "contact your message from a@b " * 30_000,
        "\n" * 900_000,
    ],
    ids=lambda text: repr(text[:20]),
)
def test_a_letter_made_to_be_slow_is_not(text: str) -> None:
    """Here under 0.5 s each; quadratic time would be minutes."""
    began = time.process_time()
    read_report(letter(text))
    assert time.process_time() - began < 5


SOME = st.sampled_from(
    [
        "From: MAILER-DAEMON@example.net",
        "Content-Type: multipart/report; boundary=b",
        "Content-Type: message/delivery-status",
        "Content-Type: message/feedback-report",
        "Content-Type: text/html",
        "X-Failed-Recipients: a@example.net, b",
        "Final-Recipient: rfc822;a@example.net",
        "Action: failed",
        "Status: 5.1.1",
        "Feedback-Type: abuse",
        "",
        "--b",
        "--b--",
        "<a@example.net>: user unknown",
        "could not be delivered",
        '{"notificationType":"Bounce","bounce":{"bouncedRecipients":[{"emailAddress":1},2]}}',
        "\ud800",
    ]
)


@given(st.lists(SOME, max_size=30))
def test_any_message_is_a_report_or_an_error(lines: list[str]) -> None:
    """And only a bounce or a complaint suppresses."""
    try:
        found = read_report("\n".join(lines).encode("utf-8", "surrogatepass"))
    except ParseError:
        return
    if found.kind not in {"bounce", "complaint"}:
        assert all(each.suppress == "never" for each in found.recipients)

"""Rules of codes: what is left when a reply has no words that help. Pure data, asked last.

Source:  RFC 3463 and the registry of enhanced status codes (RFC 5248 and later); RFC 5321 §4.2.3 for reply codes.
BUGS:    5.1.1 and 5.1.2 are believed here, though some send them for other faults without saying so. Codes without a
         detail, and 5.2.1, prove nothing at once.
"""

from postroom.bounces.classes import Suppress
from postroom.bounces.rule import BounceRule, rule

_STATUS: tuple[tuple[tuple[str, ...], str, Suppress | None], ...] = (
    # statuses without their first digit (* is any), class, weaker consequence
    (("1.1",), "invalid_recipient", None),
    (("1.2",), "invalid_domain", None),
    (("1.3",), "invalid_recipient", None),
    (("1.6",), "invalid_recipient", None),
    (("1.10",), "invalid_domain", None),
    (("1.0", "1.4"), "invalid_recipient", "after"),
    (("1.9",), "protocol", None),
    (("2.1", "7.17"), "inactive", "after"),
    (("2.2",), "mailbox_full", None),
    (("2.3", "3.4"), "too_large", None),
    (("2.4",), "policy", None),
    (("3.*",), "system", None),
    (("4.1", "4.2"), "connection", None),
    (("4.4",), "invalid_domain", "after"),
    (("4.6",), "routing", None),
    (("4.7",), "expired", None),
    (("4.0", "4.3", "4.5"), "routing", None),
    (("4.*",), "connection", None),
    (("5.3",), "rate_limit", None),
    (("5.*",), "protocol", None),
    (("6.*",), "content", None),
    (("7.13",), "inactive", None),
    (("7.8", "7.9", "7.30"), "auth", None),
    (("7.10", "7.11"), "tls", None),
    (("7.28",), "rate_limit", None),
    (("7.*",), "policy", None),
)

_REPLIES = (
    (("421",), "connection"),
    (("450", "451", "452"), "system"),
    (("500", "501", "502", "503", "504"), "protocol"),
    (("521", "523", "530", "535", "538", "541", "556", "570", "571"), "policy"),
)


def _of_statuses(statuses: tuple[str, ...], fault: str, suppress: Suppress | None) -> BounceRule:
    either = "|".join(status.replace(".", r"\.").replace("*", r"\d{1,3}") for status in statuses)
    name = f"status.x.{'-'.join(statuses)}"
    return rule(
        name,
        fault,
        "the registry of enhanced status codes",
        "^",
        code=rf"\S{{0,3}} [45]\.(?:{either})$",
        suppress=suppress,
    )


CODE_RULES = (
    # "Exceeded storage allocation", whatever some servers write beside it.
    rule("reply.552", "mailbox_full", "RFC 5321 §4.2.3", "^", code=r"552 (?:$|5\.(?:0\.0|1\.1|2\.[012])$)"),
    *(_of_statuses(*each) for each in _STATUS),
    *(
        rule(f"reply.{codes[0]}", fault, "RFC 5321 §4.2.3", "^", code=rf"(?:{'|'.join(codes)}) ")
        for codes, fault in _REPLIES
    ),
)

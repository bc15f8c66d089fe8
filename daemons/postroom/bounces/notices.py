"""Bounces in prose: which recipients a notice for people names, and what it says of each. Pure.

Every mail server that does not write RFC 3464 has its own letter, but all of them name the recipient in one of few
places: at the start of a line, with the reason behind or below it (qmail's QSBMF, Postfix, Exim, sendmail, Yahoo,
OpenSMTPD, Exchange 5.5, Domino, GroupWise, MDaemon, CommuniGate, Courier), or within a sentence that says what
happened. phquery, of university name servers, names a local part and says further down at which domains NAME is one.
The letter ends where the copy of the mail begins.

Source:  Bernstein, "The qmail-send Bounce Message Format (QSBMF)"; the default bounce texts of the servers named.
Limits:  MAX_LINES lines of at most MAX_LINE_CHARS; MAX_RECIPIENTS recipients.
BUGS:    another letter that names only a local part, or no recipient at all, gives none.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_LINES = 400
MAX_LINE_CHARS = 1_000
MAX_RECIPIENTS = 200
MAX_REASON_CHARS = 2_000

_ADDRESS = r'(?:"[^"@\s]{1,64}"|[^\s<>()\[\]{},;:"\'|*=]{1,128})@[\w-]{1,63}(?:\.[\w-]{1,63}){0,12}'
_ANYWHERE = re.compile(rf"(?:(?<=[\s<>(\[\"':;,=*|])|^)({_ADDRESS})", re.IGNORECASE)
# An address that begins its line, alone or with what is said of it.
_LEADING = re.compile(
    rf"^[\s>|*\"'.-]{{0,40}}(?:[45]\d\d[\s-](?:[45]\.\d{{1,3}}\.\d{{1,3}} )?)?"
    rf"(?:(?:to|recipient|address|e-?mail|an|para|à|an:|"
    rf"for)\s{{0,4}}:\s{{0,8}})?<?(?:mailto:|smtp:)?({_ADDRESS})>?[\"']?"
    r"(?:<mailto:[^<>\s]{1,300}>)?(?=\s*$|\s*[:;(\[]|\s{1,9}\.{3}|\.{3}|\s{1,9}on \w{3},|\s{1,9}[-=#\w])",
    re.IGNORECASE,
)
_COPY = re.compile(
    r"^[\s|>*_=#-]{0,80}(?:"
    r"(?:below this line|this|here|below|enclosed|attached|following|the following) is (?:a|the) (?:copy|first|header)|"
    r"(?:start of )?(?:the |your )?(?:original|returned|unsent|rejected|undelivered|"
    r"failed) (?:message|mail)(?! (?:was|could|has|is|to|will|system|recei))|"
    r"message (?:text|header|headers|source|body)s? follow|message (?:text|headers|contents)\b|"
    r"(?:return(?:ed)?|included|quoted|copy of) (?:the |your )?(?:original )?message|copy of (?:the|your) |"
    r"(?:the )?headers? of (?:the|your)|(?:the )?(?:first|initial) .{0,30}(?:lines|part|bytes) of|"
    r"mensaje original|mensagem original|message d'origine|message original|ursprüngliche nachricht|originalnachricht|"
    r"messaggio originale|исходное (?:письмо|сообщение)|(?:the )?message you sent follows|message follows|"
    r"(?:received|return-path|dkim-signature|x-[\w-]{2,40}|message-id|in-reply-to|references|mime-version|"
    r"authentication-results|delivered-to) ?:)",
    re.IGNORECASE,
)
# Lines that name somebody to turn to, or the parties of the mail itself.
_OTHERS = re.compile(
    r"^\s{0,20}(?:from|cc|reply-to|sender|mail from|return-path|subject|date|sent|message-id|"
    r"reporting-mta|sender's address|de|von)\s{0,4}:|"
    r"contact|please (?:send|write|e-?mail|forward|reply|mail)|assistance|questions?\b|support\b|\be\.g\.|\binstead\b|"
    r"fails, try |"
    r"if you (?:feel|have|need|think|believe)|for (?:help|more)|"
    r"postmaster for|your (?:message|mail|email) from|sent (?:by|from) <?\S{1,100}@|the sender|"
    r"on behalf|mail from\s{0,3}:|"
    r"(?:an?|the|your) (?:e-?mail|message|mail) (?:from )?\S{1,100}@\S{1,200} (?:addressed|sent) to|"
    r"^\s{0,8}>>> (?!rcpt)",
    re.IGNORECASE,
)
_LINK = re.compile(r"https?:\S{1,500}", re.IGNORECASE)
_UNREACHED = re.compile(r"did not reach|not (?:be )?delivered", re.IGNORECASE)
_RCPT = re.compile(rf"rcpt to\s{{0,4}}:\s{{0,4}}<?({_ADDRESS})", re.IGNORECASE)
_NAMED_AFTER = re.compile(rf"addressed to[^@]{{0,30}}?<?({_ADDRESS})", re.IGNORECASE)
_UNMATCHED = re.compile(r"^\s{0,8}([\w.+-]{1,64})\s{1,20}(no matches to nameserver query)", re.IGNORECASE)
_NAME_AT = re.compile(r"\bemailing (?:to )?NAME@([\w-]{1,63}(?:\.[\w-]{1,63}){1,12})")


@dataclass(frozen=True, slots=True)
class NamedAddress:
    """A recipient a notice names, with what it says of it ("" when that is all)."""

    address: str
    reason: str


def addresses(text: str) -> list[str]:
    """All addresses in a text, as written."""
    return [found[1] for found in _ANYWHERE.finditer(text[:MAX_REASON_CHARS])]


def letter(text: str) -> list[str]:
    """The lines of a notice before the copy of the mail."""
    lines: list[str] = []
    for line in text.split("\n", MAX_LINES)[:MAX_LINES]:
        if _COPY.match(line) and any(each.strip() for each in lines):
            break
        lines.append(line[:MAX_LINE_CHARS].rstrip())
    return lines


def named(lines: list[str], not_these: frozenset[str]) -> list[NamedAddress]:
    """The recipients a letter names, in their order, once each.

    Args:
        lines:     of letter().
        not_these: addresses that are no recipients (the reporter, and we to whom it reports), in lower case; they count
                   only when the letter names nobody else at the start of a line.
    """
    if unmatched := _unmatched(lines):
        return unmatched
    leading = _leading(lines)
    for candidates in (
        [each for each in leading if each[1].lower() not in not_these],
        leading,
        [each for each in _within(lines, _RCPT) if each[1].lower() not in not_these],
        [each for each in _within(lines, _NAMED_AFTER) if each[1].lower() not in not_these],
        [each for each in _within(lines, _ANYWHERE) if each[1].lower() not in not_these],
    ):
        if candidates:
            return _with_reasons(lines, candidates)
    return []


def _unmatched(lines: list[str]) -> list[NamedAddress]:
    domains = dict.fromkeys(found[1] for line in lines for found in _NAME_AT.finditer(line))
    people = [found for line in lines if (found := _UNMATCHED.match(line))]
    return [NamedAddress(f"{found[1]}@{domain}", found[2]) for found in people for domain in domains][:MAX_RECIPIENTS]


def _leading(lines: list[str]) -> list[tuple[int, str]]:
    return [
        (number, match[1])
        for number, line in _naming(lines)
        if line.lstrip().startswith("<") or not _is_of_others(line)
        if (match := _LEADING.match(line))
    ]


def _within(lines: list[str], pattern: re.Pattern[str]) -> list[tuple[int, str]]:
    return [
        (number, match[1])
        for number, line in _naming(lines)
        if pattern is not _ANYWHERE or not _is_of_others(line)
        for match in pattern.finditer(line)
    ]


def _naming(lines: list[str]) -> Iterator[tuple[int, str]]:
    """The lines with an address, but for those that describe the mail of ours.

    Exchange 5.5 and Domino begin with its To, Subject and Sent; only then come the recipients.
    """
    is_of_our_mail = False
    for number, line in enumerate(lines):
        if line.strip().lower() == "your message":
            is_of_our_mail = True
        elif _UNREACHED.search(line):
            is_of_our_mail = False
        if "@" in line and not is_of_our_mail:
            yield number, line


def _is_of_others(line: str) -> bool:
    return _OTHERS.search(_LINK.sub(" ", line)) is not None


def _with_reasons(lines: list[str], candidates: list[tuple[int, str]]) -> list[NamedAddress]:
    """Each recipient with the text from its line to the next one's."""
    recipients: dict[str, NamedAddress] = {}
    for (number, address), following in zip(candidates, [*candidates[1:], (len(lines), "")], strict=True):
        key = address.lower()
        own = " ".join(lines[number : max(following[0], number + 1)])
        known = recipients.get(key)
        reason = own if known is None else f"{known.reason} {own}"
        recipients[key] = NamedAddress(address if known is None else known.address, reason[:MAX_REASON_CHARS])
        if len(recipients) == MAX_RECIPIENTS:
            break
    return list(recipients.values())

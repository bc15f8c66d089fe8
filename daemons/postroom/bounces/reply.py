"""A reply as the rules see it: codes found, the talk around it cut off, addresses blanked. Pure.

    host mx.example.net[192.0.2.1] said: 550-5.1.1 <jane@example.net> No such 550 5.1.1 user (in reply to RCPT TO …)
    -> code 550, status 5.1.1, text "550-5.1.1 @ no such user (in reply to rcpt to …)", not early

Two texts: `linked` is whole, `plain` is without links, because a link to a page about spam does not say that the mail
was spam. Before the reply stands the server's name, which may hold any word, so it is cut off; addresses become @.

Source:  RFC 5321 §4.2 (replies), RFC 3463 (enhanced status codes), RFC 3464 §2.3.6 (diagnostic codes).
Limits:  looks at the first MAX_CHARS characters, in linear time.
BUGS:    a name of a host within the reply, without its address, is read as words of it.
"""

import re
from dataclasses import dataclass

MAX_CHARS = 4096

_ADDRESS = re.compile(r"<?[^\s<>()\[\]{},;:\"'=]{1,128}(?:@|%40)[^\s<>()\[\]{},;:\"']{1,255}>?")
# mx.example.net[192.0.2.1]:25, as Postfix and Exim write it. A name may hold any word.
_HOST = re.compile(r"(?:\bhost )?[\w.-]{1,255} ?\[[0-9a-f.:]{2,45}\](?::\d{1,5})?")
_LINK = re.compile(r"(?:https?:|\bwww\.)\S{1,500}")
_LEAD = re.compile(r"^.{0,400}? (?:said|refused to talk to me): ")
_EARLY = re.compile(
    r"after (?:mail from|initial connection|helo|ehlo|connect)|\[mail_from\]|refused to talk to me|"
    r"in reply to (?:mail|helo|ehlo)\b|sender was rejected"
)
# Each line of a reply begins with its code, and often with its status (RFC 2034 §4).
_CONTINUED = re.compile(r"(?<=[\s:;>])([245]\d\d)[- ](?:([245]\.\d{1,3}\.\d{1,3}))?(?=[\s:;<]|[a-z])")
_CODE = re.compile(r"(?:^|(?<=[\s:;(<'\"\[>]))([245]\d\d)(?=[\s:;#-]|$)")
_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.]*\d)")
_QUOTES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u00b4": "'", "`": "'", "\u00a0": " "})


@dataclass(frozen=True, slots=True)
class ReplyText:
    """A reply as the rules see it, with its codes.

    Attributes:
        linked:   the reply, casefolded, addresses as @.
        plain:    the same without links.
        code:     reply code, "" when there is none.
        status:   enhanced status code, "" when there is none.
        is_early: it answers the connection or the sender: no recipient was named yet.
    """

    linked: str
    plain: str
    code: str
    status: str
    is_early: bool

    @property
    def is_permanent(self) -> bool:
        """Whether the server said so: the reply code decides, without one the enhanced status code."""
        return (self.code or self.status).startswith("5")


def reply_text(text: str, reply_code: str = "", status: str = "") -> ReplyText:
    """Prepare a reply; codes that are not given are looked for in it."""
    folded = " ".join(text[:MAX_CHARS].translate(_QUOTES).casefold().split())
    said = folded[lead.end() :] if (lead := _LEAD.match(folded)) else folded
    # A caller's codes may be anything a stranger wrote.
    reply_code = reply_code if _CODE.fullmatch(reply_code) else ""
    status = status if _STATUS.fullmatch(status) else ""
    code = reply_code or (found[1] if (found := _CODE.search(said)) else "")
    found_status = _STATUS.search(said)
    # X.0.0 is what a mail program writes who knows nothing; the server's own word is better.
    if found_status is not None and (not status or status.endswith(".0.0")) and found_status[1][0] == (code or "5")[0]:
        status = found_status[1]
    first, *rest = _split_first_code(said)
    said = first + _CONTINUED.sub(" ", rest[0]) if rest else first
    linked = " ".join(_ADDRESS.sub(" @ ", said).split())
    plain = " ".join(_HOST.sub(" ", _LINK.sub(" ", linked)).split())
    return ReplyText(linked, plain, code, status, _EARLY.search(folded) is not None)


def _split_first_code(said: str) -> list[str]:
    found = _CODE.search(said)
    return [said] if found is None else [said[: found.end()], said[found.end() :]]

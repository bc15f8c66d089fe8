"""Tells notices of mail servers, automatic replies of people and challenges apart, by headers and words. Pure.

Source:  RFC 3834 (Auto-Submitted), RFC 3464 §2 (the null sender of reports); headers of vacation programs in use.
BUGS:    an automatic reply without any mark, under a subject of its own, is `other`.
"""

import re

from postroom.bounces.mime import MimePart, decoded_words

_REPORTER = re.compile(
    r"mailer[-_]?daemon|po+st[_-]?master|mail[\s._-]?(?:delivery|system|administrator|router|daemon|"
    r"server)|system administrator|<>|"
    r"mdaemon|mail ?adm|\bmta@|delivery (?:service|subsystem|system|agent)|bounces?@|mailsweeper",
    re.IGNORECASE,
)
_REPORT_SUBJECT = re.compile(
    r"undeliver|non ?remis|unzustellbar|delivery (?:status|failure|report|notification|failed|problem|"
    r"delay|has failed|error)|"
    r"failure (?:notice|delivery)|returned mail|return to sender|returning (?:to sender|message)|"
    r"mail (?:delivery|system error|could not|failed|status)|"
    r"(?:message|mail) (?:status|delayed|undeliverable|could not|not delivered|delivery)|"
    r"could ?n[o']t be delivered|\bdelayed\b|"
    r"not deliver|no entregado|não entregue|nicht zustell|недоставлен|не доставлен|не может быть|"
    r"permanent (?:delivery )?(?:failure|error)|warning: (?:message|could)|"
    r"nondeliverable|non-delivery|echec|échec|rejected|unknown (?:user|recipient)|配信|送信|退信|投递失败",
    re.IGNORECASE,
)
_AUTOREPLY_SUBJECT = re.compile(
    r"^\s{0,4}(?:auto(?:matic|mated)?[ -]?(?:reply|response|answer|mail)|out of (?:the )?office|ooo\b|"
    r"(?:re: )?vacation|away from|on (?:holiday|leave|vacation)|"
    r"abwesen|automatische antwort|réponse automatique|reponse automatique|absence|respuesta autom|"
    r"resposta autom|risposta autom|fuera de|fora do|afwezig|"
    r"автоответ|自動(?:応答|返信)|自动(?:回复|答复)|i am (?:away|out)|i'm (?:away|out))|\((?:automatic|automated|"
    r"auto) (?:response|reply)\)|autoreply|auto-?response",
    re.IGNORECASE,
)
_CHALLENGE = re.compile(
    r"\b(?:verify|confirm|prove) (?:that )?you(?:r message| are|r e-?mail| sent|r address)|"
    r"challenge[- /]?response|\bboxbe\b|spam ?arrest|"
    r"(?:click|follow)[^.]{0,40}(?:link|here|below)[^.]{0,80}(?:released?|approved?|added)\b|"
    r"add yourself to|guest list|waitlisted|\bqurb\b|\btmda\b|mailblocks",
    re.IGNORECASE,
)
_SAYS_SO = re.compile(
    r"(?:could|can|was|were|is|been|has|have)(?: ?n[o']t| not| never|not)? (?:be |been )?(?:deliver|"
    r"reach|sent)|undeliver|not deliver|unable to deliver|"
    r"attempt\w{0,3} to deliver|error[^.]{0,40}deliver|failed permanently|exceed|expired|"
    r"deliver\w{0,3} (?:\w{1,12} ){0,8}(?:fail|problem|error|delay|your)|"
    r"fail\w{0,4} (?:\w{1,12} ){0,6}(?:deliver|recipient|address)|(?:permanent|"
    r"fatal) (?:fatal )?error|returned (?:to|mail|message|because)|"
    r"unknown (?:user|recipient|host)|user unknown|did ?n[o']t reach|no valid recipients|"
    r"not (?:be )?(?:entregad|zugestellt)|pu (?:e|ê)tre (?:d[eé]livr|remis)|"
    r"no (?:pudo|se pudo) |n(?:a|ã)o (?:pode|p[oô]de|foi)|не может|не удалось|не доставлен|"
    r"konnte[n]? nicht|rejected|送信できません|配信できません|送れません|"
    r"invalid (?:user|recipient|address)|mailbox (?:full|is full)|over quota|quota|transcript of session|error message",
    re.IGNORECASE,
)
_DELAY = re.compile(
    r"not yet been delivered|has been delayed|delayed \d|still (?:trying|awaiting|being retried)|"
    r"will (?:continue|keep) (?:trying|to try)|delivery attempts will continue|"
    r"warning(?: message)? only|you do not need to resend|this is (?:only )?a (?:warning|"
    r"notification about a delay)|delivery incomplete|temporary problem delivering|no need to resend",
    re.IGNORECASE,
)


def is_of_a_mail_system(message: MimePart) -> bool:
    """Whether the headers are those of a server that reports, rather than of a person."""
    sender = decoded_words(message.first("from"))[:500]
    subject = decoded_words(message.first("subject"))
    is_null = message.first("return-path").strip() == "<>" or sender.strip() in {"", "<>"}
    return (
        bool(message.first("x-failed-recipients"))
        or message.type == "multipart/report"
        or _REPORTER.search(f"{sender} {message.first('return-path')}") is not None
        or (not is_answer(message) and (is_null or _REPORT_SUBJECT.search(subject) is not None))
    )


def is_signed_by_a_mail_system(message: MimePart) -> bool:
    """Whether its sender is a mailer daemon or the like, by name."""
    return _REPORTER.search(decoded_words(message.first("from"))[:500]) is not None


def is_answer(message: MimePart) -> bool:
    """Whether the message marks itself as an automatic answer to somebody, or its subject does."""
    submitted = message.first("auto-submitted").lower()
    precedence = message.first("precedence").strip().lower().replace("-", "_")
    return (
        submitted.startswith(("auto-replied", "auto_replied", "vacation"))
        or precedence in {"auto_reply", "vacation"}
        or any(
            message.first(name)
            for name in (
                "x-autoreply",
                "x-autorespond",
                "x-auto-response",
                "x-autoreply-from",
                "x-vacation",
                "x-mail-autoreply",
            )
        )
        or _AUTOREPLY_SUBJECT.search(decoded_words(message.first("subject"))) is not None
    )


def is_answer_by_subject(message: MimePart) -> bool:
    """Whether its subject is one of automatic answers."""
    return _AUTOREPLY_SUBJECT.search(decoded_words(message.first("subject"))) is not None


def is_challenge(text: str) -> bool:
    """Whether a letter asks its sender to prove something first."""
    return _CHALLENGE.search(text) is not None


def says_undelivered(text: str) -> bool:
    """Whether a letter says that mail was not delivered."""
    return _SAYS_SO.search(text) is not None


def is_delay(text: str) -> bool:
    """Whether a letter says that delivery is still being tried."""
    return _DELAY.search(text) is not None

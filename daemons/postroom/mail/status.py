"""Enhanced status codes and SMTP replies as values.

Source:  RFC 5321 §4.2 (replies), RFC 2034 and RFC 3463 (enhanced status codes).
"""

import re
from dataclasses import dataclass

_ENHANCED = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?= |$)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reply:
    """One SMTP reply: the three-digit code, the enhanced status code when there is one, the text."""

    code: int
    enhanced_status: str | None
    text: str

    @property
    def is_success(self) -> bool:
        return self.code // 100 == 2

    @property
    def is_intermediate(self) -> bool:
        return self.code // 100 == 3

    @property
    def is_temporary(self) -> bool:
        return self.code // 100 == 4

    @property
    def is_permanent(self) -> bool:
        return self.code // 100 == 5

    def __str__(self) -> str:
        status = f" {self.enhanced_status}" if self.enhanced_status else ""
        return f"{self.code}{status} {self.text}".rstrip()


def reply(code: int, lines: list[str]) -> Reply:
    """Build a reply from its code and the texts of its lines.

    The enhanced status code counts only where its class agrees with the reply code, and stands on
    each line of a reply (RFC 2034 §4); the first one is kept, the text is without them.
    """
    statuses, texts = [], []
    for line in lines:
        text = line.strip()
        found = _ENHANCED.match(text)
        if found is not None and int(found[1]) == code // 100:
            statuses.append(found[0])
            text = text[found.end() :].strip()
        texts.append(text)
    return Reply(code, statuses[0] if statuses else None, " ".join(texts).strip())

"""One template, and the mail it makes of data.

    template.render(locale, data) -> Rendered(name, locale, version, subject, text, html)

Pure: everything was read and compiled by the catalogue.

A line of a text part that is longer than LINE_CHARS is a paragraph, and is broken at blanks.

Limits:  each of subject, text and HTML has at most PART_CHARS characters; sandbox.py bounds the work.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from traceback import walk_tb
from typing import Any, NamedTuple

import jinja2

from postroom.templating.formats import spoken
from postroom.templating.logo import Logo
from postroom.templating.manifest import Manifest
from postroom.templating.sandbox import TemplateFault, account
from postroom.templating.variables import check

PART_CHARS = 1_000_000

LINE_CHARS = 76
_LONG_LINE = re.compile(rf"^.{{{LINE_CHARS + 1},}}$", re.MULTILINE)
_ITEM = re.compile(r"(?: *[-*•] )?")


class Rendered(NamedTuple):
    """What one template made: the subject on one line; text and HTML with LF line ends, also the last.

    `logo` is the image the HTML shows by its Content-ID, if it shows it; `stream` that of template.yaml.
    """

    name: str
    locale: str
    version: str
    subject: str
    text: str
    html: str
    logo: Logo | None = None
    stream: str = ""


class RenderFailed(Exception):
    """The template itself failed on data that fits its variables: a fault of the template, not of the caller.

    The text names the file and the line and never holds a value.
    """

    def __init__(self, template: str, file: str, line: int, what: str) -> None:
        self.template, self.file, self.line, self.what = template, file, line, what
        super().__init__(f"{file}:{line}: {what}" if line else f"{file}: {what}")


class CompiledParts(NamedTuple):
    """The compiled files of one locale, and the variables its subject reads."""

    subject: jinja2.Template
    preheader: jinja2.Template | None
    text: jinja2.Template
    html: jinja2.Template
    subject_names: frozenset[str]


@dataclass(frozen=True)
class Template:
    """One template in all its locales.

    Attributes:
        version:  names the content: changes with any file in effect, its own or the layout's.
        manifest: stream, description, variables and samples, as template.yaml has them.
        locales:  by tag, the compiled files.
        files:    the paths of all sources it can reach, to say where it failed.
        reads:    the variables that any of its files reads.
        logo:     of the brand.
    """

    name: str
    version: str
    manifest: Manifest
    locales: Mapping[str, CompiledParts]
    files: frozenset[str]
    reads: frozenset[str] = frozenset()
    logo: Logo | None = None

    def locale_for(self, wanted: str | None) -> str:
        """The locale that answers: the one wanted, else its language (`de-AT`, `de`), else the template's default.

        Source: RFC 4647 section 3.4 (lookup).
        """
        known = {tag.lower(): tag for tag in self.locales}
        # 64 characters: no tag is longer than its registered subtags make it, and the caller may send anything.
        subtags = (wanted or "")[:64].lower().replace("_", "-").split("-")
        for end in range(len(subtags), 0, -1):
            if (found := known.get("-".join(subtags[:end]))) is not None:
                return found
        return self.manifest.default_locale

    def render(self, locale: str | None, data: Mapping[str, object]) -> Rendered:
        """The mail for the data, in the locale or the nearest there is.

        Dates and amounts follow the region that was asked for, where it is of the language that answers.

        Raises:
            VariablesInvalid: the data does not fit; every fault at once, nothing rendered.
            RenderFailed:     the template is at fault.
        """
        tag = self.locale_for(locale)
        parts = self.locales[tag]
        given = check(self.name, self.manifest.variables, data, parts.subject_names)
        rules = spoken(tag, locale)
        given |= {"locale": tag, "dir": rules.text_direction}
        with account(rules):
            # A value brings no line break into the subject (check), so these are the template's own.
            subject = _one_line(self._write(parts.subject, given))
            if not subject:
                raise RenderFailed(self.name, parts.subject.filename or self.name, 0, "the subject is empty")
            given["subject"] = subject
            given["preheader"] = _one_line(self._write(parts.preheader, given)) if parts.preheader else ""
            text = _set(self._write(parts.text, given))
            html = self._write(parts.html, given).strip() + "\n"
        shown = self.logo if self.logo and f'"cid:{self.logo.cid}"' in html else None
        return Rendered(
            self.name, tag, self.version, subject, text=text, html=html, logo=shown, stream=self.manifest.stream
        )

    def _write(self, part: jinja2.Template, given: Mapping[str, object]) -> str:
        try:
            # A value may bring CR LF; a bare CR has no place in mail (RFC 5322 section 2.3).
            return "".join(_bounded(part, given)).replace("\r\n", "\n").replace("\r", "\n")
        except Exception as error:  # noqa: BLE001 - a template can raise whatever Python can; all of it is its fault
            file, line = self._place(error) or (part.filename or self.name, 0)
            # Only these speak of the template alone; the text of others may hold a value.
            safe = isinstance(error, TemplateFault | jinja2.UndefinedError | jinja2.exceptions.SecurityError)
            what = str(error) if safe else f"it fails with {type(error).__name__}"
            raise RenderFailed(self.name, file, line, what) from None

    def _place(self, error: Exception) -> tuple[str, int] | None:
        places = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
        return next((place for place in reversed(places) if place[0] in self.files), None)


def _bounded(part: jinja2.Template, given: Mapping[str, Any]) -> Iterator[str]:
    left = PART_CHARS
    for piece in part.generate(given):
        left -= len(piece)
        if left < 0:
            raise TemplateFault(f"it writes more than {PART_CHARS} characters")
        yield piece


def _set(text: str) -> str:
    """The text as it is read: one blank line at most, paragraphs written as one line broken at blanks."""
    text = re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"
    return _LONG_LINE.sub(_broken, text)


def _broken(line: re.Match[str]) -> str:
    item = _ITEM.match(line[0])
    assert item is not None
    hang = " " * item.end()
    lines, current = [], ""
    # Only at blanks that may break: 49,00 € has one that may not.
    for word in line[0].split(" "):
        if current.strip() and len(current) + 1 + len(word) > LINE_CHARS:
            lines.append(current)
            current = hang + word
        else:
            current = f"{current} {word}" if current else word
    return "\n".join([*lines, current])


def _one_line(text: str) -> str:
    return re.sub(r"[ \t]*\n\s*", " ", text).strip()

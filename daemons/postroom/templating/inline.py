"""Inlines the style sheet into an HTML template without touching its Jinja syntax.

    styled(file, source, css) -> the source with style="..." on its tags, and what was wrong

Mail clients drop or rewrite <style>, so every rule has to stand on the tag it is for. An
HTML parser may not rewrite a Jinja source: it would move `{% for %}` out of its <table> and
escape what it finds in `{{ }}`. So the parser works on a shadow: a copy of the same length with
the Jinja syntax blanked and every start tag numbered. Only the style it worked out for each
number is brought back, and put into the original text. Lines stay where they are, and what
<style> says (dark mode, small screens) stays in <style>.

Refused, because escaping cannot protect a value there: `{{ }}` in a tag outside of quotes, in
<style>, in a handler such as onclick; and <script>, which mail clients remove.

Limits:  each file is styled by itself: a selector such as `.panel p` does not see that the
         paragraph stands in a panel of another file. A class on the tag itself always works.
"""

import re
from bisect import bisect_right
from html import escape
from html.parser import HTMLParser
from typing import NamedTuple

from css_inline import CSSInliner, InlineError

from postroom.templating.problems import TemplateProblem

_QUOTED = r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'"
_JINJA = re.compile(
    r"\{#.*?#\}"
    rf"|\{{%(?:{_QUOTED}|(?!%\}}).)*%\}}"
    rf"|\{{\{{(?:{_QUOTED}|(?!\}}\}}).)*\}}\}}",
    re.DOTALL,
)
_ATTRIBUTE_VALUE = re.compile(r"=\s*(\"[^\"]*\"|'[^']*')")
_STYLE = re.compile(r"(?<=\s)style(?=\s*=\s*([\"']))", re.IGNORECASE)
_HANDLER = re.compile(r"\son\w+\s*=", re.IGNORECASE)
_NUMBER = "data-postroom-tag"


def styled(file: str, source: str, css: str) -> tuple[str, list[TemplateProblem]]:
    """The source with the rules of `css` on its tags.

    A tag's own style comes after the sheet's, so it wins, as the cascade has it.
    """
    shadow = _JINJA.sub(lambda jinja: re.sub(r"[^\n]", " ", jinja[0]), source)
    tags = _Tags(shadow)
    expressions = [jinja.start() for jinja in _JINJA.finditer(source) if jinja[0].startswith("{{")]
    lines = _line_starts(source)
    problems = [
        TemplateProblem(file, bisect_right(lines, at), what, mend) for at, what, mend in _unprotected(tags, expressions)
    ]
    styles = _styles(file, shadow, tags.found, css, problems)
    out, done = [], 0
    for number, tag in enumerate(tags.found):
        if number not in styles:
            what = f"HTML allows no <{tag.name}> here, so it cannot be styled"
            problems.append(
                TemplateProblem(file, bisect_right(lines, tag.start), what, "put it where it belongs, with its table")
            )
        elif style := escape(styles[number]):
            own = _STYLE.search(tag.text)
            at = tag.start + (own.end(1) if own else 1 + len(tag.name))
            out += [source[done:at], f"{style} " if own else f' style="{style}"']
            done = at
    return "".join([*out, source[done:]]), problems


class _Tag(NamedTuple):
    start: int
    name: str
    text: str

    @property
    def end(self) -> int:
        return self.start + len(self.text)


class _Tags(HTMLParser):
    """The start tags of a text in order, and the spans of what stands inside <style>."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[_Tag] = []
        self.sheets: list[tuple[int, int]] = []
        self._lines = _line_starts(text)
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(_Tag(self._at(), tag, self.get_starttag_text() or ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "style" and self.found and self.found[-1].name == "style":
            self.sheets.append((self.found[-1].end, self._at()))

    def _at(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column


class _Numbered(HTMLParser):
    """The style of each numbered tag."""

    def __init__(self) -> None:
        super().__init__()
        self.styles: dict[int, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if (number := values.get(_NUMBER)) is not None:
            self.styles[int(number)] = values.get("style") or ""


def _styles(file: str, shadow: str, tags: list[_Tag], css: str, problems: list[TemplateProblem]) -> dict[int, str]:
    out, done = [], 0
    for number, tag in enumerate(tags):
        after_name = tag.start + 1 + len(tag.name)
        # Hidden from the inliner: it would drop the declarations whose values are Jinja's, blank in the shadow.
        rest = _STYLE.sub("class-", tag.text[1 + len(tag.name) :])
        out += [shadow[done:after_name], f' {_NUMBER}="{number}"', rest]
        done = tag.end
    inliner = CSSInliner(
        inline_style_tags=False,
        load_remote_stylesheets=False,
        # Only so that their numbers come back.
        keep_style_tags=True,
        keep_link_tags=True,
        resolve_css_variables=True,
        extra_css=css,
    )
    try:
        html = inliner.inline("".join([*out, shadow[done:]]))
    except InlineError as error:
        problems.append(
            TemplateProblem(file, 0, f"the style sheet cannot be inlined: {error}", "correct _layout/mail.css")
        )
        return dict.fromkeys(range(len(tags)), "")
    parsed = _Numbered()
    parsed.feed(html)
    parsed.close()
    return parsed.styles


def _unprotected(tags: _Tags, expressions: list[int]) -> list[tuple[int, str, str]]:
    found = [
        (at, "a value is used inside <style>", "use the style sheet, or {{ }} in a style attribute")
        for start, end in tags.sheets
        for at in expressions
        if start <= at < end
    ]
    for tag in tags.found:
        if tag.name == "script":
            found.append((tag.start, "mail cannot have a <script>", "remove it; mail clients do"))
        if _HANDLER.search(tag.text):
            found.append((tag.start, "mail cannot have event handlers", "remove the attribute; mail clients do"))
        quoted = [(tag.start + value.start(), tag.start + value.end()) for value in _ATTRIBUTE_VALUE.finditer(tag.text)]
        found += [
            (at, "a value is used in a tag without quotes", 'write attribute="{{ ... }}"')
            for at in expressions
            if tag.start <= at < tag.end and not any(start < at < end for start, end in quoted)
        ]
    return found


def _line_starts(text: str) -> list[int]:
    return [0, *(end.end() for end in re.finditer("\n", text))]

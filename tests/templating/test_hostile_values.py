"""Hostile values in every variable of every shipped template: refused, or shown as what they are, never acted on."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from postroom.templating import Brand, Catalogue, Rendered, Template, Variable, VariablesInvalid
from postroom.templating.page import MailPage, read

SHIPPED = Path(__file__).parents[2] / "templates"
CATALOGUE = Catalogue.load(
    [SHIPPED], Brand("Example Books", "https://www.example.org/", "1 High Street", "support@example.org", "#1a5fb4")
)
HOSTILE = {
    "script": "<script>alert(1)</script>",
    "handler": '"><img src=x onerror=alert(1)>',
    "quote": "' onmouseover='alert(1)",
    "header": "Ada\r\nBcc: eve@evil.example",
    "header-lf": "Ada\nBcc: eve@evil.example",
    "line-separator": "Ada\u2028Bcc: eve",
    "rtl-override": "Ada \u202egpj.exe",
    "rtl-isolate": "\u2067Ada",
    "rtl-mark": "Ada\u200f\u200e",
    "nul": "Ada\x00",
    "escape": "Ada\x1b[31m",
    "surrogate": "Ada\ud800",
    "megabyte": "A" * 1_000_000,
    "expression": "{{ 7 * 7 }}{{ brand.__class__ }}",
    "statement": "{% for i in range(999999) %}x{% endfor %}",
    "raw": "{% endblock %}{% raw %}",
    "comment": "<!-- <![endif]--> -->",
    "style": "</style><style>*{display:none}</style>",
    "entity": "&lt;b&gt;&#0;",
    "javascript": "javascript:alert(1)",
    "data": "data:text/html,<script>alert(1)</script>",
    "format": "%s%n{0.__class__}",
    "sql": "'; DROP TABLE message; --",
    "link": "http://evil.example/now",
}


def places(template: Template) -> Iterator[tuple[str, str | None]]:
    for name, variable in template.manifest.variables.items():
        yield name, None
        yield from ((name, field) for field in variable.fields)


CASES = [
    pytest.param(name, variable, field, id=f"{name}-{variable}{f'.{field}' if field else ''}")
    for name in CATALOGUE.names()
    for variable, field in places(CATALOGUE.get(name))
]


def skeleton(page: MailPage) -> list[tuple[str, list[str]]]:
    """The elements with the names of their attributes, but for blank-dependent values."""
    return [(element.tag, sorted(element.attributes)) for element in page.elements()]


def rendered(template: Template, data: dict[str, Any], locale: str) -> Rendered | None:
    refusal = ""
    try:
        return template.render(locale, data)
    except VariablesInvalid as invalid:
        refusal = str(invalid)
    # A refusal is small and repeats nothing.
    assert len(refusal) < 400
    return None


@pytest.mark.parametrize(("name", "variable", "field"), CASES)
def test_hostile_value_is_refused_or_shown_as_it_is(name: str, variable: str, field: str | None) -> None:
    """The elements of the HTML and its links stay those of a harmless value; the subject stays one line."""
    template = CATALOGUE.get(name)
    examples = dict(dict(template.manifest.trials())["examples"])
    declared: Variable = template.manifest.variables[variable]
    calm = (
        examples | {variable: with_field(examples[variable], field, "calm")} if is_text(declared, field) else examples
    )
    for word, value in HOSTILE.items():
        data = examples | {variable: with_field(examples[variable], field, value)}
        for locale in ("en", "fr"):
            mail = rendered(template, data, locale)
            if mail is None or (word == "link" and declared.type == "url"):
                continue
            assert is_text(declared, field), f"{word} is no {declared.type}"
            expected = template.render(locale, calm)
            page = read(mail.html)
            assert skeleton(page) == skeleton(read(expected.html))
            assert page.links() == read(expected.html).links()
            assert not re.search(r"[\r\n\u2028\u2029\x00-\x1f\u202a-\u202e\u2066-\u2069]", mail.subject)
            assert "49" not in mail.subject
            assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b\ud800-\udfff]", mail.html + mail.text)
            assert len(mail.html) < 100_000


def is_text(declared: Variable, field: str | None) -> bool:
    kind = declared.fields[field] if field else declared
    return kind.type == "string" and not kind.choices


def with_field(example: Any, field: str | None, value: object) -> Any:
    return value if field is None else [{**example[0], field: value}, *example[1:]]


@pytest.mark.parametrize("name", ["welcome", "verification", "password-reset", "subscription-update"])
def test_name_cannot_carry_a_link(name: str) -> None:
    """Whoever opens an account in somebody else's name gets no advertising delivered by us."""
    template = CATALOGUE.get(name)
    data = dict(dict(template.manifest.trials())["examples"]) | {
        "first_name": "Win at www.evil.example or http://evil.example"
    }
    for locale in template.locales:
        mail = template.render(locale, data)
        for part in (mail.subject, mail.text, mail.html):
            assert "evil.example" not in part
            assert "http://evil" not in part
        assert "evil[.]example" in mail.text

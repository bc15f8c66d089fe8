"""What a template makes of data: locales, the subject's one line, escaping, absent values, failures."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroom.templating import Brand, Catalogue, RenderFailed, Template, VariablesInvalid

MakeTemplate = Callable[[Mapping[str, str]], Template]

LOCALES = {
    f"{locale}/{part}": f"{locale} {{{{ dir }}}} {{{{ name }}}}\n"
    for locale in ("de", "de-CH", "zh-Hant", "ar")
    for part in ("subject.txt", "body.txt", "body.html")
}


@pytest.mark.parametrize(
    ("wanted", "answers"),
    [
        ("de", "de"), ("de-AT", "de"), ("de-CH", "de-CH"), ("DE_ch", "de-CH"), ("zh-Hant-TW", "zh-Hant"), ("zh", "en"),
        ("fr", "en"), (None, "en"), ("", "en"), ("-", "en"), ("../../etc/passwd", "en"), ("de-" * 100_000, "de"),
        ("de\x00", "en"),
    ],
)  # fmt: skip
def test_nearest_locale_answers(make: MakeTemplate, wanted: str | None, answers: str) -> None:
    """The locale itself, else its language, else the template's default; whatever was asked for."""
    assert make(LOCALES).render(wanted, {"name": "Ada"}).locale == answers


def test_direction_follows_the_language(make: MakeTemplate) -> None:
    """Arabic runs from right to left, German does not."""
    template = make(LOCALES)
    assert template.render("ar-EG", {"name": "Ada"}).subject == "ar rtl Ada"
    assert template.render("de", {"name": "Ada"}).subject == "de ltr Ada"


@settings(derandomize=True, deadline=None)
@given(wanted=st.text())
def test_any_text_as_locale_finds_one(wanted: str) -> None:
    """No text asked for as a locale is an error: somebody waits for the mail."""
    assert WELCOME.locale_for(wanted) == "en"


WELCOME = Catalogue.load(
    [Path(__file__).parents[2] / "templates"], Brand("Example", "https://www.example.org/", "", "", "#000000")
).get("welcome")


def test_subject_that_the_template_wraps_comes_out_on_one_line(make: MakeTemplate) -> None:
    """Line breaks of the template become one space; the value's own spaces stay."""
    template = make({"en/subject.txt": "\n  Hello\n  {{ name }},\n\n  again\n"})
    assert template.render("en", {"name": "Ada  L"}).subject == "Hello Ada  L, again"


@pytest.mark.parametrize("sign", ["\r", "\n", "\r\n", "\t", "\u2028", "\u2029"])
def test_line_break_in_a_value_of_the_subject_is_refused(make: MakeTemplate, sign: str) -> None:
    """It would end the header: refused by name, never joined; elsewhere it is only text."""
    template = make({"en/body.txt": "{{ name }} {{ note or '' }}"})
    with pytest.raises(VariablesInvalid) as invalid:
        template.render("en", {"name": f"Ada{sign}Bcc: eve@example.org"})
    assert [(problem.pointer, problem.code) for problem in invalid.value.problems] == [("/name", "control_character")]
    text = template.render("en", {"name": "Ada", "note": f"a{sign}b"}).text
    assert text == f"Ada a{sign}b\n".replace("\r\n", "\n").replace("\r", "\n")


def test_line_break_is_refused_through_a_macro_of_the_subject(make: MakeTemplate) -> None:
    """What the subject hands to a macro counts as shown in the subject."""
    template = make(
        {
            "_layout/words.txt": "{% macro greet(who) %}Hello {{ who }}{% endmacro %}",
            "en/subject.txt": '{% from "_layout/words.txt" import greet %}{{ greet(name) }}',
        }
    )
    assert template.render("en", {"name": "Ada"}).subject == "Hello Ada"
    with pytest.raises(VariablesInvalid, match="'name' has a line break"):
        template.render("en", {"name": "Ada\nLovelace"})


def test_value_is_escaped_in_html_and_left_alone_in_text(make: MakeTemplate) -> None:
    """In an attribute, in the preheader and through a macro as well; never twice."""
    template = make(
        {
            "_layout/parts.html": "{% macro box(what) %}<div>{{ what }}{{ caller() }}</div>{% endmacro %}",
            "en/preheader.txt": "For {{ name }}",
            "en/body.html": '{% from "_layout/parts.html" import box %}<p title="{{ name }}">{{ preheader }}</p>'
            "{% call box(name) %}<b>{{ name ~ '!' }}</b>{% endcall %}",
        }
    )
    mail = template.render("en", {"name": '<a href="x">\'&amp;'})
    escaped = "&lt;a href=&#34;x&#34;&gt;&#39;&amp;amp;"
    assert mail.subject == 'Hello <a href="x">\'&amp;'
    assert mail.text == 'Hello <a href="x">\'&amp;\n'
    assert mail.html == f'<p title="{escaped}">For {escaped}</p><div>{escaped}<b>{escaped}!</b></div>\n'


@pytest.mark.parametrize("value", ["{{ 7 * 7 }}", "{% raw %}", "{# x #}", "{{ brand }}", "${7*7}", "%s %(x)s {0}"])
def test_template_syntax_in_a_value_is_text(make: MakeTemplate, value: str) -> None:
    """Values are data: nothing in them is ever evaluated."""
    mail = make({}).render("en", {"name": value})
    assert mail.subject == f"Hello {value}"
    assert mail.text == f"Hello {value}\n"


def test_default_stands_in_for_an_absent_value(make: MakeTemplate) -> None:
    """Absent and null are the same; zero and false are values."""
    manifest = """\
stream: transactional
description: Made by a test.
default_locale: en
variables:
  count: {type: integer, default: 5, description: d, example: 1}
  paid: {type: boolean, default: true, description: d, example: true}
"""
    body = "{{ count }} {{ 'paid' if paid else 'open' }}"
    template = make(
        {"template.yaml": manifest, "en/subject.txt": "S", "en/body.txt": body, "en/body.html": f"<p>{body}</p>"}
    )
    assert template.render("en", {}).text == "5 paid\n"
    assert template.render("en", {"count": None, "paid": None}).text == "5 paid\n"
    assert template.render("en", {"count": 0, "paid": False}).text == "0 open\n"


def test_failure_of_the_template_names_file_and_line_and_no_value(make: MakeTemplate) -> None:
    """A fault that only some data reach is the template's, told without the data."""
    body = "Hello {{ name }}\n{% if name == 'secret-7' %}\n{{ 1 // 0 }}{{ name }}\n{% endif %}\n"
    template = make({"en/body.txt": body})
    with pytest.raises(RenderFailed) as failed:
        template.render("en", {"name": "secret-7"})
    assert failed.value.file.endswith("trial/en/body.txt")
    assert failed.value.line == 3
    assert failed.value.what == "it fails with ZeroDivisionError"
    assert failed.value.__suppress_context__
    assert "secret-7" not in str(failed.value)


def test_part_of_more_than_a_million_characters_is_refused(make: MakeTemplate) -> None:
    """A loop that writes without end stops at the bound."""
    loop = "{% for i in range(1000) %}" + "x" * 1001 + "{% endfor %}"
    template = make({"en/body.txt": "Hello{% if name == 'long' %}" + loop + "{% endif %}"})
    assert template.render("en", {"name": "short"}).text == "Hello\n"
    with pytest.raises(RenderFailed, match="it writes more than 1000000 characters"):
        template.render("en", {"name": "long"})


def test_same_data_make_the_same_mail(welcome: Template) -> None:
    """Rendering keeps nothing from one mail to the next."""
    data = {"first_name": "Ada", "action_url": "https://www.example.org/start"}
    first = welcome.render("en", data)
    for _ in range(50):
        with pytest.raises(VariablesInvalid):
            welcome.render("en", {})
        assert welcome.render("en", data) == first


def test_long_line_of_a_text_is_a_paragraph_and_is_broken_at_blanks(make: MakeTemplate) -> None:
    """At 76 characters; items hang, addresses and amounts stay whole, short lines stay as they are."""
    body = "{{ name }}\n\n- " + "word " * 30 + "\n\nshort\nlines\n\nhttps://www.example.org/" + "x" * 100 + "\n"
    lines = make({"en/body.txt": body}).render("en", {"name": "Some words, 49,00\u00a0€ " * 10}).text.splitlines()
    assert max(len(line) for line in lines if "https" not in line) <= 76
    assert min(len(line) for line in lines[:3]) > 50
    assert [line[:6] for line in lines if "word" in line and "-" in line[:2]] == ["- word"]
    assert "  word word word" in "\n".join(lines)
    assert not any(line.endswith("49,00") for line in lines)
    assert lines[lines.index("short") : lines.index("short") + 2] == ["short", "lines"]
    assert "https://www.example.org/" + "x" * 100 in lines


def test_figures_follow_the_region_and_words_the_language(make: MakeTemplate) -> None:
    """`de` answers for de-AT, with Austrian amounts; an absent date stays absent; macros speak the language too."""
    manifest = """\
stream: transactional
description: Made by a test.
default_locale: en
variables:
  total: {type: money, required: true, description: d, example: {amount: "1.00", currency: EUR}}
  due: {type: date, description: d, example: "2026-11-24"}
"""
    body = '{% from "_layout/parts.txt" import fact %}{{ fact(total) }}{% if due %} {{ due|date("medium") }}{% endif %}'
    files = {f"{tag}/{part}": body for tag in ("en", "de") for part in ("subject.txt", "body.txt", "body.html")}
    parts = {"_layout/parts.txt": "{% macro fact(amount) %}{{ amount|money }}{% endmacro %}", "template.yaml": manifest}
    template = make({**files, **parts})
    data = {"total": {"amount": "1249.50", "currency": "EUR"}}
    subjects = {
        tag: template.render(tag, data).subject.replace("\u00a0", " ") for tag in ("de-AT", "de", "en", "fr-CH")
    }
    assert subjects == {"de-AT": "€ 1.249,50", "de": "1.249,50 €", "en": "€1,249.50", "fr-CH": "€1,249.50"}
    assert template.render("de", {**data, "due": "2026-11-24"}).text.endswith("€ 24.11.2026\n")

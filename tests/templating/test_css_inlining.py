"""Styles on the tags of a Jinja source, and not a character of the source moved."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroom.templating.inline import styled

CSS = """
:root { --brand: #123456; }
p { margin: 0; color: #111111; }
.a { color: var(--brand); font-family: "Segoe UI", Arial; }
td { padding: 1px; }
@media (max-width: 1px) { p { margin: 9px } }
"""
A_STYLE = "color: #123456;font-family: &#x27;Segoe UI&#x27;, Arial;"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<p>{{ x }}</p>", '<p style="margin: 0;color: #111111;">{{ x }}</p>'),
        # An HTML parser would move the loop out of the table and add <tbody>.
        (
            '<table>{% for i in l %}<tr class="x"><td>{{ i }}</td></tr>{% endfor %}</table>',
            '<table>{% for i in l %}<tr class="x"><td style="padding: 1px;">{{ i }}</td></tr>{% endfor %}</table>',
        ),
        # It would escape what stands in the expression.
        (
            "{% if a < b and c > d %}<td-x></td-x>{{ '<p>' ~ \"}}\" }}{% endif %}",
            "{% if a < b and c > d %}<td-x></td-x>{{ '<p>' ~ \"}}\" }}{% endif %}",
        ),
        (
            "<a class='a' href=\"{{ u(\"x\") }}\">y</a>",
            f"<a style=\"{A_STYLE}\" class='a' href=\"{{{{ u(\"x\") }}}}\">y</a>",
        ),
        # The tag's own declarations come last, so they win; Jinja in them stays.
        (
            '<p class="{{ c }}" style="color: {{ brand.colour }}">x</p>',
            '<p class="{{ c }}" style="margin: 0;color: #111111; color: {{ brand.colour }}">x</p>',
        ),
        # A class that stands under a condition is seen as if it stood there always.
        (
            '<b{% if x %} class="a"{% endif %}>x</b>',
            f'<b style="{A_STYLE}"{{% if x %}} class="a"{{% endif %}}>x</b>',
        ),
        # Comments for Outlook are not looked into.
        ("<!--[if mso]><p>{{ x }}<![endif]-->", "<!--[if mso]><p>{{ x }}<![endif]-->"),
        ("<style>p { color: red }</style>", "<style>p { color: red }</style>"),
        ("{# <p>no tag</p> #}", "{# <p>no tag</p> #}"),
        ("<br/>&nbsp;&#847;", "<br/>&nbsp;&#847;"),
    ],
)  # fmt: skip
def test_style_is_put_on_the_tag_and_the_rest_stays(source: str, expected: str) -> None:
    """Only style="..." is added: Jinja, entities, comments and line ends stay byte for byte."""
    assert styled("t.html", source, CSS) == (expected, [])


def test_problem_names_the_line_of_the_tag() -> None:
    """Lines are those of the operator's file, also after tags that run over several."""
    source = '<p\n  class="a"\n>x</p>\n{% if x\n %}<td>y</td>{% endif %}\n<p title={{ x }}>'
    found = styled("t.html", source, CSS)[1]
    assert [(problem.line, problem.what) for problem in found] == [
        (6, "a value is used in a tag without quotes"),
        (5, "HTML allows no <td> here, so it cannot be styled"),
    ]


def test_remote_sheet_is_neither_fetched_nor_removed() -> None:
    """A <link> or @import is left as it stands; the network is not touched (port 1 would be refused)."""
    source = '<link rel="stylesheet" href="http://127.0.0.1:1/x.css"><b>x</b>'
    assert styled("t.html", source, '@import url("http://127.0.0.1:1/y.css"); i { color: red }') == (source, [])


PIECES = st.lists(
    st.sampled_from(
        ["<p>", "</p>", "<p class='a'>", "<table>", "<tr>", "<td>", "</td>", "</tr>", "</table>", "<style>", "</style>",
         "{{ x }}", "{% if x %}", "{% endif %}", "{#", "#}", "{{", "}}", "<!--", "-->", "<", ">", '"', "'", "=", "\n",
         " ", "style", 'style="', "<title>", "</title>", "<p style='x: y'>", "<br/>", "&amp;", "x", "é", "\x00",
         "<script>"]
    ),
    max_size=30,
)  # fmt: skip


@settings(derandomize=True, deadline=None, max_examples=400)
@given(pieces=PIECES)
def test_any_source_comes_back_with_nothing_but_styles_added(pieces: list[str]) -> None:
    """Without what was inlined it is the same source again, however broken its HTML."""
    source = "".join(pieces)
    result, _ = styled("t.html", source, "p { color: #0b0b0b }")
    assert re.sub(r' style="color: #0b0b0b;"|(?<=["\'])color: #0b0b0b; ', "", result) == source

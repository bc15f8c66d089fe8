"""Templates that try to get out, or to run for ever, in branches that loading does not reach."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from postroom.templating import Brand, RenderFailed, Template, TemplatesBroken
from postroom.templating.formats import Money, locale
from postroom.templating.sandbox import FILTERS, account, environment

MakeTemplate = Callable[[Mapping[str, str]], Template]
HIDDEN = "{%% if name == 'open sesame' %%}%s{%% endif %%}"


@pytest.mark.parametrize(
    "attempt",
    [
        "{{ ''.__class__ }}",
        "{{ ''['__class__'] }}",
        "{{ ''|attr('__class__') }}",
        "{% set key = '__init__' %}{{ brand[key] }}",
        "{{ brand[name] }}",
        "{{ name[:name|length] }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ brand.__init__.__globals__ }}",
        "{{ brand.__class__.__mro__[1].__subclasses__() }}",
        "{{ self.__dict__ }}",
        "{{ loop.__class__ }}",
        "{{ name.encode().decode() }}",
        "{{ '{0.__class__}'.format(name) }}",
        "{{ name|map('upper') }}",
        "{% include 'trial/template.yaml' %}",
        "{% import '/etc/passwd' as x %}",
        "{{ config }}",
        "{{ get_flashed_messages() }}",
        "{{ dict(a=1) }}",
        "{% do x() %}",
    ],
)
def test_attempt_to_get_out_is_refused_at_load_even_in_a_branch_never_taken(make: MakeTemplate, attempt: str) -> None:
    """What can be seen without rendering is refused before any mail is made."""
    with pytest.raises(TemplatesBroken):
        make({"en/body.txt": HIDDEN % attempt})


@pytest.mark.parametrize(
    "attempt",
    [
        "{{ brand['__class__'~'']}}",
        "{{ brand['__cl' ~ 'ass__'] }}",
        "{% set f = name.format %}{{ f(1) }}",
        "{{ name.upper }}",
        "{{ name.upper() }}",
        "{{ brand }}",
        "{{ range }}",
        "{{ (1, 2) }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ 'ha' * 10 }}",
        "{{ '%99999999d' % 1 }}",
        "{{ [0] * 1000000000 }}",
        "{{ range(1000000000)|length }}",
        "{{ range(1, 10, 0) }}",
        "{{ name|truncate(none) }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m() %}{% set x = m() %}{% set y = m() %}{% endmacro %}{{ m() }}",
        "{% set x %}{% for a in range(1000) %}{% for b in range(1000) %}a line{% endfor %}{% endfor %}{% endset %}",
        "{% set l = range(1000) %}{% for a in l %}{% for b in l %}{% set c = l|string %}{% endfor %}{% endfor %}",
        "{% set a = 2 ** 2 %}{{ a }}",
        "{% set a = 9007199254740992 * 9007199254740992 %}{{ a }}",
    ],
)
def test_attempt_that_shows_only_when_rendered_fails_at_once(make: MakeTemplate, attempt: str) -> None:
    """It ends in RenderFailed, quickly, whatever it tried; and the same template still makes other mail."""
    template = make({"en/body.txt": "{{ 'Hello' }}" + HIDDEN % attempt})
    began = time.process_time()
    with pytest.raises(RenderFailed):
        template.render("en", {"name": "open sesame"})
    assert time.process_time() - began < 5
    assert template.render("en", {"name": "Ada"}).text == "Hello\n"


def test_work_is_counted_for_each_mail_afresh(make: MakeTemplate) -> None:
    """A template that is well within its bounds stays there however often it is used."""
    template = make({"en/body.txt": "{% for i in range(1000) %}{{ i }} {% endfor %}"})
    first = template.render("en", {"name": "Ada"}).text
    assert first.endswith("998 999 \n")
    assert all(template.render("en", {"name": "Ada"}).text == first for _ in range(300))


def test_loops_joins_filters_and_macros_work_as_jinja_says(make: MakeTemplate) -> None:
    """The account in loops, joins and filters changes nothing of what a template writes."""
    body = (
        "{% macro line(n) %}[{{ n }}{{ caller() }}]{% endmacro %}"
        "{% for i in range(3) if i != 1 %}{{ loop.index }}/{{ loop.length }}{{ loop.cycle('a', 'b') }} {% endfor %}"
        "{% for i in [] %}x{% else %}none {% endfor %}"
        "{% for a, b in [(1, 2), (3, 4)] %}{{ a + b }}{{ ',' if not loop.last }}{% endfor %} "
        "{{ (name ~ '-' ~ 2)|upper }} {{ 'a' ~ ('b' ~ 'c') }} {{ note|default('no note', true) }} "
        "{% call line(7) %}!{% endcall %}{% filter lower %} LOW {{ name }}{% endfilter %}"
    )
    mail = make({"en/body.txt": body}).render("en", {"name": "Ada"})
    assert mail.text == "1/2a 2/2b none 3,7 ADA-2 abc no note [7!] low ada\n"


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_filter_cannot_blow_up_what_it_is_given(name: str, brand: Brand) -> None:
    """No filter makes more than nine characters of each it gets (urlencode; the rest make fewer)."""
    values = {
        "abs": "-5",
        "plural": "1",
        "number": "5",
        "percent": "5",
        "date": "day",
        "datetime": "day",
        "time": "day",
    }
    value = {"money": "amount"}.get(name, values.get(name, "'<ä&b'"))
    forms = '(one="a", other="b")' if name == "plural" else ""
    source = f"{{% set x = {value}|{name}{forms} %}}{{{{ x if x is string else 1 }}}}"
    given = {"day": datetime(2026, 11, 24, 14, 5, tzinfo=UTC), "amount": Money(Decimal(49), "EUR")}
    with account(locale("en")):
        written = environment({"t.html": (source, "t.html")}, brand).get_template("t.html").render(given)
    assert 0 < len(written) <= 9 * max(len(value), 5)


SCRIPT = "<script>alert(1)</script>"


@pytest.mark.parametrize(
    "attempt",
    [
        "{% autoescape false %}{{ name }}{% endautoescape %}",
        "{% autoescape true %}{{ name }}{% endautoescape %}",
        "{% autoescape count > 9 %}{{ name }}{% endautoescape %}",
        "{% macro m() %}{% autoescape false %}{{ name }}{% endautoescape %}{% endmacro %}{{ m() }}",
        "{{ name|safe }}",
        "{{ name|forceescape }}",
        "{{ name|e|striptags }}",
        "{{ (name|e).unescape() }}",
        "{{ Markup(name) }}",
        "{{ name|xmlattr }}",
        "{{ name|tojson }}",
        "{% filter safe %}{{ name }}{% endfilter %}",
        '{% extends "_layout/raw.txt" %}{% block body %}x{% endblock %}',
    ],
)
def test_a_template_that_turns_escaping_off_is_refused_at_load(make: MakeTemplate, attempt: str) -> None:
    """Also where nobody comes by: what it would write is seen in its source."""
    raw = {"_layout/raw.txt": "{{ brand.name }}{% block body %}{% endblock %}"}
    with pytest.raises(TemplatesBroken):
        make({**raw, "en/body.html": attempt if "extends" in attempt else HIDDEN % attempt})


@pytest.mark.parametrize(
    "written",
    [
        "{% set x = name %}{{ x }}",
        "{% set x %}{{ name }}{% endset %}{{ x }}",
        "{% set x %}<b>{{ name }}</b>{% endset %}{{ x ~ name }}",
        "{% set x | upper %}{{ name }}{% endset %}{{ x }}",
        "{{ '<b>'|e ~ name }}",
        "{{ name|e|string }}",
        "{{ name|string|trim|title }}",
        "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(name) }}",
        "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}{{ name }}{% endcall %}",
        '{% from "_layout/raw.txt" import say %}{{ say(name) }}',
        '{% import "_layout/raw.txt" as raw %}{{ raw.say(name) }}',
        '{% from "_layout/raw.txt" import say %}{% set x %}{{ say(name) }}{% endset %}{{ x }}',
        '{% from "_layout/raw.txt" import around %}{% call around() %}{{ name }}{% endcall %}',
        '{% from "_layout/raw.txt" import around, say %}{% call around() %}{{ say(name) }}{% endcall %}',
        '{% from "_layout/raw.txt" import say %}{% macro m(x) %}{{ say(x) }}{% endmacro %}{{ m(name) }}',
        "{{ subject }} {{ preheader }}",
    ],
)
def test_no_value_comes_unescaped_into_html(make: MakeTemplate, written: str) -> None:
    """Whatever way it takes: variables, blocks, macros, also those of a text file."""
    raw = "{% macro say(x) %}{{ x }}{% endmacro %}{% macro around() %}{{ caller() }}{% endmacro %}"
    template = make({"_layout/raw.txt": raw, "en/preheader.txt": "{{ name }}", "en/body.html": f"<p>{written}</p>"})
    html = template.render("en", {"name": SCRIPT}).html
    assert "script" in html.lower(), "the value is there"
    assert "<script" not in html.lower()

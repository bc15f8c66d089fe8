"""The files of a template that somebody begins to write: small, whole, and without findings in its first locale."""

import re
from collections.abc import Sequence
from pathlib import Path

_MANIFEST = """\
# What this mail is for, and what it shows. docs/templates.md explains the keys.
stream: transactional
description: Say in a sentence when this mail is sent.
default_locale: {locale}

variables:
  first_name:
    type: string
    required: true
    max_length: 100
    description: How the person is addressed.
    example: Ada
  action_url:
    type: url
    required: true
    description: Where the button leads.
    example: https://www.example.org/next

samples:
  long-name:
    first_name: Wolfeschlegelsteinhausenbergerdorff
    action_url: https://www.example.org/next?step=2
"""
_PARTS = {
    "subject.txt": "What this mail is about, {{ first_name|defuse }}\n",
    "preheader.txt": "The line that mail programs show after the subject.\n",
    "body.html": """\
{% extends "_layout/layout.html" %}
{% from "_layout/macros.html" import button %}
{% block content %}
<h1>What this mail is about</h1>
<p>Hello {{ first_name|defuse }},</p>
<p>Say what has happened, and what there is to do.</p>
{% call button(action_url, "The one thing to do") %}If the button does not work, copy this address:{% endcall %}
{% endblock %}
""",
    "body.txt": """\
{% extends "_layout/layout.txt" %}
{% block content %}
Hello {{ first_name|defuse }},

Say what has happened, and what there is to do:

{{ action_url }}
{% endblock %}
""",
}


class ScaffoldRefused(Exception):
    """Nothing was written; the text says why and how to mend it."""


def write(folder: Path, name: str, locales: Sequence[str]) -> list[Path]:
    """Write a new template below `folder`; the first locale is its default.

    Raises:
        ScaffoldRefused: a name or locale that is none, a folder that is there or cannot be written.
    """
    from postroom.templating.manifest import LOCALE

    if not re.fullmatch(r"[a-z][a-z0-9-]{0,63}", name):
        raise ScaffoldRefused(f"{name!r} is not a name; mend: lower-case letters, digits and '-', a letter first")
    for locale in locales:
        if not re.fullmatch(LOCALE, locale):
            raise ScaffoldRefused(f"{locale!r} is not a locale; mend: write it like en, de-AT or zh-Hant-TW")
    files = {"template.yaml": _MANIFEST.format(locale=locales[0])}
    files |= {f"{locale}/{relative}": text for locale in locales for relative, text in _PARTS.items()}
    own = folder / name
    try:
        own.mkdir(parents=True)
        for relative, text in files.items():
            (own / relative).parent.mkdir(exist_ok=True)
            (own / relative).write_text(text, encoding="utf-8")
    except FileExistsError:
        raise ScaffoldRefused(f"{own}: is there already, and is kept; mend: take another name") from None
    except OSError as error:
        raise ScaffoldRefused(f"{own}: cannot be written ({error.strerror}); mend: check who may write there") from None
    return [own / relative for relative in files]

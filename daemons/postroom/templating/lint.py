"""What a careful person would look for before a template is used: craft, accessibility, languages.

    check(catalogue, name) -> every LintFinding

Loading (catalogue.py) refuses what cannot work; this finds what works badly. Each template is rendered in
each locale with each of its trials, and what comes out is looked at as readers' programs show it (rules.py);
here are the rules that compare locales, and files with the manifest.

Limits:  sees the samples there are; a branch that none of them reaches is not looked at.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from postroom.templating import page
from postroom.templating.catalogue import Catalogue
from postroom.templating.render import Template
from postroom.templating.rules import MAIL_RULES, RenderedTrial, short

SAME_WORDS = 4
"""A sentence of so many words that is the same in two languages was forgotten."""


@dataclass(frozen=True, order=True)
class LintFinding:
    """One thing to mend: where, the rule it breaks, what is wrong, how to mend it."""

    template: str
    locale: str
    file: str
    rule: str
    what: str
    mend: str

    def __str__(self) -> str:
        place = f"{self.template}/{self.locale}" if self.locale else self.template
        return f"{place}/{self.file}: {self.what} [{self.rule}]\n  Mend: {self.mend}"


def check(catalogue: Catalogue, name: str) -> list[LintFinding]:
    """All findings of one template, sorted, each once however many trials show it.

    Raises:
        TemplateUnknown: there is none of that name.
    """
    template = catalogue.get(name)
    found: set[LintFinding] = set()
    mails = {locale: list(_mails(template, locale)) for locale in template.locales}
    for locale, trials in mails.items():
        for mail in trials:
            for rule, (file, judge) in MAIL_RULES.items():
                found |= {LintFinding(name, locale, file, rule, what, mend) for what, mend in judge(mail)}
    found |= {
        LintFinding(
            name,
            locale,
            "preheader.txt",
            "missing-preheader",
            "there is no preheader",
            "write what comes after the subject",
        )
        for locale, parts in template.locales.items()
        if parts.preheader is None
    }
    found |= _missing_locales(catalogue, template)
    found |= _unused_variables(template)
    found |= _same_sentences(template, mails)
    return sorted(found)


def _mails(template: Template, locale: str) -> Iterator[RenderedTrial]:
    # The catalogue has rendered every one of these: none fails.
    for trial, data in template.manifest.trials():
        rendered = template.render(locale, data)
        yield RenderedTrial(trial, rendered, page.read(rendered.html))


def _missing_locales(catalogue: Catalogue, template: Template) -> set[LintFinding]:
    known = {locale for other in catalogue.templates.values() for locale in other.locales}
    what = "this locale is missing, though other templates have it"
    return {
        LintFinding(template.name, locale, "", "missing-locale", what, "translate the template, or accept the default")
        for locale in known - template.locales.keys()
    }


def _unused_variables(template: Template) -> set[LintFinding]:
    return {
        LintFinding(
            template.name, "", "template.yaml", "unused-variable", f"no file reads '{name}'", "remove it, or show it"
        )
        for name in template.manifest.variables.keys() - template.reads
    }


def _same_sentences(template: Template, mails: dict[str, list[RenderedTrial]]) -> set[LintFinding]:
    default = template.manifest.default_locale
    found = set()
    for locale, trials in mails.items():
        if locale.split("-")[0] == default.split("-")[0]:
            continue
        for mine, other in zip(trials, mails.get(default, []), strict=False):
            values = " ".join(map(str, _leaves(dict(template.manifest.trials())[mine.trial])))
            same = _sentences(mine.rendered.text) & _sentences(other.rendered.text)
            found |= {
                LintFinding(
                    template.name,
                    locale,
                    "body.txt",
                    "same-sentence",
                    f"as in {default}: '{short(sentence)}'",
                    "translate it",
                )
                for sentence in same
                if sentence not in " ".join(values.split())
            }
    return found  # fmt: skip


def _sentences(text: str) -> set[str]:
    sentences = re.split(r"(?<=[.:?])\s+", " ".join(text.partition("\n-- \n")[0].split()))
    return {sentence for sentence in sentences if len(sentence.split()) >= SAME_WORDS}


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict | list):
        for inside in value.values() if isinstance(value, dict) else value:
            yield from _leaves(inside)
    else:
        yield value


RULES = frozenset(MAIL_RULES) | {"missing-preheader", "missing-locale", "unused-variable", "same-sentence"}

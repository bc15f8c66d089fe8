"""All templates, read, checked and compiled; immutable, so that a reload is one assignment.

    Catalogue.load([operator's folder, shipped folder], brand) -> Catalogue, or TemplatesBroken

A folder holds, file by file, what replaces the folders after it:
    NAME/template.yaml                            manifest.py
    NAME/LOCALE/subject.txt, body.html, body.txt  and preheader.txt, which may be missing
    _layout/*.html, *.txt                         what templates extend and import
    _layout/mail.css                              inlined into every HTML file (inline.py)

Every template is rendered at load, in every locale, with its examples, with its required
variables alone, and with each of its samples: what loads, renders.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from babel import UnknownLocaleError
from jinja2 import Environment

from postroom.templating import formats, inline, manifest, sandbox, sources
from postroom.templating.brand import Brand
from postroom.templating.folders import SourceFile, gather, version
from postroom.templating.manifest import GIVEN, LOCALE, Manifest
from postroom.templating.problems import TemplateProblem, TemplatesBroken
from postroom.templating.render import CompiledParts, RenderFailed, Template
from postroom.templating.variables import VariablesInvalid

_PLACE = re.compile(
    rf"_layout/(mail\.css|[a-z][a-z0-9_-]*\.(html|txt))"
    rf"|(?P<name>[a-z][a-z0-9-]{{0,63}})/(template\.yaml|(?P<locale>{LOCALE})/(subject\.txt|preheader\.txt|body\.(html|txt)))"
)


class TemplateUnknown(Exception):
    """There is no template of this name; the text offers the names that come close."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        close = difflib.get_close_matches(name[:64], known)
        hint = f"; did you mean {' or '.join(repr(other) for other in close)}?" if close else ""
        self.name = name
        super().__init__(f"there is no template {name[:64]!r}{hint}")


@dataclass(frozen=True)
class Catalogue:
    """The templates in effect, by name."""

    templates: Mapping[str, Template]

    @classmethod
    def load(cls, folders: Sequence[Path], brand: Brand) -> "Catalogue":
        """Read, check and compile every template.

        Args:
            folders: the operator's first, then the shipped one; a folder may be missing.
            brand:   what templates read as `brand`.

        Raises:
            TemplatesBroken: with every fault of every template; there is no catalogue with some of them missing.
        """
        files, problems = gather(folders)
        problems += [_misplaced(file) for file in files.values() if not _PLACE.fullmatch(file.name)]
        files = {name: file for name, file in files.items() if _PLACE.fullmatch(name)}
        loading = _Loading(files, brand, problems)
        templates = {name: template for name in loading.names() if (template := loading.template(name))}
        if not templates and not problems:
            problems.append(
                TemplateProblem(", ".join(map(str, folders)), 0, "there are no templates", "name the right folder")
            )
        if problems:
            raise TemplatesBroken(problems)
        return cls(MappingProxyType(templates))

    def get(self, name: str) -> Template:
        """The template of that name.

        Raises:
            TemplateUnknown: there is none.
        """
        if name not in self.templates:
            raise TemplateUnknown(name, self.names())
        return self.templates[name]

    def names(self) -> list[str]:
        """The names of all templates, sorted."""
        return sorted(self.templates)


class _Loading:
    """One load: the files, the environment over them, and the problems found so far."""

    def __init__(self, files: Mapping[str, SourceFile], brand: Brand, problems: list[TemplateProblem]) -> None:
        self._files, self._problems, self._logo = files, problems, brand.logo
        self._layout = {name: file for name, file in files.items() if name.startswith("_layout/")}
        sheet = files["_layout/mail.css"].text if "_layout/mail.css" in files else ""
        # The sheet may say var(--brand); no mail client has to understand it, the inliner puts the colour in.
        css = f":root {{ --brand: {brand.colour}; --brand-ink: {brand.ink}; }}\n{sheet}"
        self._sources = {name: self._styled(file, css) for name, file in files.items() if _is_source(name)}
        paths = {name: (file.text, file.path) for name, file in self._sources.items()}
        self._reads: dict[str, frozenset[str]] = {}
        self._environment: Environment = sandbox.environment(paths, brand)
        for name in self._layout.keys() & self._sources.keys():
            found, _ = sources.examine(self._sources[name], self._environment, GIVEN, self._layout)
            problems += found
        # A broken layout would fail every trial again, in words less clear.
        self._layout_is_sound = not any(
            problem.file == file.path for problem in problems for file in self._layout.values()
        )

    def names(self) -> list[str]:
        return sorted({name.split("/")[0] for name in self._files} - {"_layout"})

    def template(self, name: str) -> Template | None:
        own = {place: file for place, file in self._files.items() if place.startswith(f"{name}/")}
        locales = sorted({place.split("/")[1] for place in own if place.count("/") == 2})
        before = len(self._problems)
        about = self._manifest(name, own, locales)
        for locale in locales:
            self._check_locale(name, locale, about)
        if about is None or len(self._problems) > before:
            return None
        template = Template(
            name=name,
            version=version([*own.values(), *self._layout.values()]),
            manifest=about,
            locales=MappingProxyType({locale: self._parts(f"{name}/{locale}/") for locale in locales}),
            files=frozenset(file.path for file in [*own.values(), *self._layout.values()]),
            reads=frozenset[str]().union(*(self._reads[place] for place in own if _is_source(place))),
            logo=self._logo,
        )
        if self._layout_is_sound:
            self._try(template, own[f"{name}/template.yaml"].path)
        return template

    def _styled(self, file: SourceFile, css: str) -> SourceFile:
        if not file.name.endswith(".html"):
            return file
        text, found = inline.styled(file.path, file.text, css)
        self._problems += found
        return SourceFile(file.name, file.path, text)

    def _manifest(self, name: str, own: Mapping[str, SourceFile], locales: Sequence[str]) -> Manifest | None:
        file = own.get(f"{name}/template.yaml")
        if file is None:
            self._missing(own, "template.yaml")
            return None
        try:
            about = manifest.read(file.path, file.text)
        except TemplatesBroken as broken:
            self._problems += broken.problems
            return None
        if about.default_locale not in locales:
            what = f"there is no folder '{about.default_locale}' for the default locale"
            self._problems.append(
                TemplateProblem(file.path, 0, what, "write that locale, or name another as default_locale")
            )
        return about

    def _check_locale(self, name: str, locale: str, about: Manifest | None) -> None:
        folder = f"{name}/{locale}/"
        try:
            formats.locale(locale)
        except UnknownLocaleError:
            at = str(Path(next(file.path for place, file in self._files.items() if place.startswith(folder))).parent)
            self._problems.append(
                TemplateProblem(at, 0, f"no language is '{locale}'", "name the folder like en, de-AT or zh-Hant-TW")
            )
        own = {place: file for place, file in self._sources.items() if place.startswith(folder)}
        for wanted in ("subject.txt", "body.html", "body.txt"):
            if folder + wanted not in own:
                self._missing(own, wanted)
        for place, file in own.items():
            # The subject is rendered first, then the preheader; the bodies are given both.
            given = GIVEN if "/body." in place else GIVEN - {"subject", "preheader"}
            names = None if about is None else {*given, *about.variables}
            found, self._reads[place] = sources.examine(file, self._environment, names, self._layout)
            self._problems += found

    def _missing(self, own: Mapping[str, SourceFile], wanted: str) -> None:
        beside = min(file.path for file in own.values())
        folder = Path(beside).parent if wanted != "template.yaml" else Path(beside).parent.parent
        self._problems.append(
            TemplateProblem(str(folder), 0, f"'{wanted}' is missing", "write it; docs/templates.md says how")
        )

    def _parts(self, folder: str) -> CompiledParts:
        get = self._environment.get_template
        preheader = f"{folder}preheader.txt"
        return CompiledParts(
            subject=get(f"{folder}subject.txt"),
            preheader=get(preheader) if preheader in self._sources else None,
            text=get(f"{folder}body.txt"),
            html=get(f"{folder}body.html"),
            subject_names=self._reads[f"{folder}subject.txt"],
        )

    def _try(self, template: Template, manifest_path: str) -> None:
        # One fault meets many of the trials, at times on another line: it is reported with the first.
        found: dict[tuple[str, str], TemplateProblem] = {}
        for locale in template.locales:
            for trial, data in template.manifest.trials():
                try:
                    template.render(locale, data)
                    continue
                except RenderFailed as failed:
                    fault = (failed.file, failed.line, failed.what)
                    mend = f"correct it; it was rendered in '{locale}' with the data '{trial}'"
                except VariablesInvalid as invalid:
                    # Only the subject of one locale is stricter than the manifest: a line break.
                    fault = (manifest_path, 0, "; ".join(problem.detail for problem in invalid.problems))
                    mend = f"write the data '{trial}' on one line, or keep it out of {locale}/subject.txt"
                found.setdefault((fault[0], fault[2]), TemplateProblem(*fault, mend))
        self._problems += found.values()


def _is_source(name: str) -> bool:
    return name.endswith((".html", ".txt"))


def _misplaced(file: SourceFile) -> TemplateProblem:
    return TemplateProblem(
        file.path, 0, f"'{file.name}' is not part of a template", "remove it or correct its name; see docs/templates.md"
    )

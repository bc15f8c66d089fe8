"""template.yaml: what a template is for, which variables it takes, and samples of them.

    read(file, text) -> Manifest, or TemplatesBroken with the line of every fault

Pure: the caller has read the file.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from postroom.templating.problems import TemplateProblem, TemplatesBroken
from postroom.templating.variables import Variable, VariablesInvalid, check

LOCALE = r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?"

# Names every template is given (render.py) or that Jinja gives a meaning of its own.
GIVEN = frozenset({"brand", "locale", "dir", "subject", "preheader"})
SYNTAX = frozenset({"loop", "self", "super", "caller", "varargs", "kwargs", "range"})
MAX_DEPTH = 32
_WORDS = frozenset({"and", "else", "false", "if", "in", "is", "none", "not", "or", "true"})


def _free(name: str) -> str:
    if name in GIVEN | SYNTAX | _WORDS:
        raise ValueError(f"'{name}' is reserved in every template: rename the variable")
    return name


_VariableName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$"), AfterValidator(_free)]
_Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]


class _Loader(yaml.SafeLoader):
    """PyYAML's safe reader, which names the place of each value it cannot read, and whose work is bounded."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(
                problem=f"it is nested deeper than {MAX_DEPTH} levels", problem_mark=self.get_mark()
            )
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError:
            # A date that is none, more digits than Python reads: its words name no place.
            raise yaml.MarkedYAMLError(
                problem="a number or date cannot be read", problem_mark=node.start_mark
            ) from None

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        # PyYAML copies what is merged, so that merges of merges double each other.
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.MarkedYAMLError(problem="merge keys are not read", problem_mark=key.start_mark)


class Manifest(BaseModel):
    """One template.yaml.

    Attributes:
        stream:         the stream of mail it is sent in unless the caller names one.
        description:    one sentence for the list of templates.
        default_locale: the locale that answers for all that are not there.
        variables:      by name.
        samples:        by name: data for previews; every one is rendered at load.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    stream: _Word
    description: str = Field(min_length=1)
    default_locale: Annotated[str, StringConstraints(pattern=f"^{LOCALE}$")]
    variables: dict[_VariableName, Variable] = {}
    samples: dict[_Word, dict[str, Any]] = {}

    def trials(self) -> Iterator[tuple[str, Mapping[str, object]]]:
        """Data to render at load, by name: every example, the required ones alone, and each sample."""
        yield "examples", {name: variable.example for name, variable in self.variables.items()}
        yield (
            "required only",
            {name: variable.example for name, variable in self.variables.items() if variable.required},
        )
        yield from self.samples.items()


def read(file: str, text: str) -> Manifest:
    """The manifest in the text of one template.yaml.

    Raises:
        TemplatesBroken: no YAML, a key twice, or every key that is missing, unknown or wrong, each with its line.
    """
    try:
        tree = yaml.compose(text, Loader=_Loader)
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or "a value cannot be read"
        at = mark.line + 1 if mark else 0
        raise TemplatesBroken(
            [TemplateProblem(file, at, f"this is not YAML: {what}", "compare with a shipped template.yaml")]
        ) from None
    if twice := [
        TemplateProblem(file, line, f"'{key}' appears twice", "keep one of them") for key, line in _twice(tree)
    ]:
        raise TemplatesBroken(twice)
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        raise TemplatesBroken([_problem(file, tree, fault) for fault in map(_Fault.of, error.errors())]) from None
    if faults := list(_sample_faults(file, tree, manifest)):
        raise TemplatesBroken(faults)
    return manifest


@dataclass(frozen=True)
class _Fault:
    path: tuple[int | str, ...]
    kind: str
    text: str

    @classmethod
    def of(cls, error: Any) -> "_Fault":
        text = re.sub(r"^Value error, ", "", error["msg"])
        return cls(error["loc"], error["type"], text[0].lower() + text[1:])


def _problem(file: str, tree: yaml.Node | None, fault: _Fault) -> TemplateProblem:
    place = ".".join(str(part) for part in fault.path if part != "[key]") or "the file"
    match fault.kind:
        case "missing":
            what, mend = f"'{place}' is missing", "add it; docs/templates.md lists the keys"
        case "extra_forbidden":
            what, mend = f"'{place}' is not a key of template.yaml", "remove it; docs/templates.md lists the keys"
        case "model_type" | "dict_type":
            what, mend = f"{place} is not a mapping of keys to values", "compare with a shipped template.yaml"
        case "string_pattern_mismatch" if fault.path[-1] == "default_locale":
            what, mend = f"{place} is not a locale", "write it like en, de-AT or zh-Hant-TW"
        case "string_pattern_mismatch":
            what, mend = f"{place} is not a name", "write lower-case letters, digits and '_' or '-', a letter first"
        case _:
            what, mend = f"{place}: {fault.text}", "correct the value; docs/templates.md says what it may be"
    return TemplateProblem(file, _line(tree, fault.path), what, mend)


def _sample_faults(file: str, tree: yaml.Node | None, manifest: Manifest) -> Iterator[TemplateProblem]:
    for sample, data in manifest.samples.items():
        try:
            check("the template", manifest.variables, data)
        except VariablesInvalid as invalid:
            for problem in invalid.problems:
                line = _line(tree, ("samples", sample, problem.pointer[1:]))
                yield TemplateProblem(
                    file, line, f"samples.{sample}: {problem.detail}", "correct the sample or the variable"
                )


def _line(tree: yaml.Node | None, path: tuple[int | str, ...]) -> int:
    """The line of the deepest key on the path that is in the file; 0 if there is none."""
    line, node = 0, tree
    for part in path:
        if not isinstance(node, yaml.MappingNode):
            break
        found = next(((key, value) for key, value in node.value if key.value == part), None)
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def _twice(tree: yaml.Node | None) -> Iterator[tuple[str, int]]:
    """Keys that stand twice in one mapping: YAML forbids it (1.2.2, 3.2.1.1), the parser lets the last one win."""
    waiting: list[yaml.Node] = [tree] if tree else []
    known: set[int] = set()
    while waiting:
        node = waiting.pop()
        if id(node) in known or not isinstance(node, yaml.CollectionNode):
            continue
        known.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)
            continue
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    yield key.value, key.start_mark.line + 1
                seen.add(key.value)
            waiting.append(value)

"""The schema of the configuration: which settings exist, and where.

Read off the model, for what must know all of them: the reference in the docs,
the hint at a misspelt name, the tests that pass over no setting. Pure.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from postroom.config.section import Loc, Section
from postroom.config.values import Kind

EACH_KEY = "<name>"
EACH_ITEM = "[]"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, as the reference shows it.

    Attributes:
        path:    its steps, with EACH_KEY and EACH_ITEM for what the operator names or counts.
        value:   the word for what may be written.
        default: as it would be written, or in words.
        meaning: what it does, in which unit.
    """

    path: tuple[str, ...]
    value: str
    default: str
    meaning: str

    def __str__(self) -> str:
        return ".".join(self.path).replace(f".{EACH_ITEM}", EACH_ITEM)


def settings(section: type[Section], above: tuple[str, ...] = ()) -> Iterator[Setting]:
    """Give every setting below `section`, in the order of the model.

    A section as such is none; a list or mapping of sections is one itself, and
    those below each of its entries follow.
    """
    for name, field in section.model_fields.items():
        path = (*above, name)
        annotation: Any = field.annotation
        if _is_section(annotation):
            yield from settings(annotation, path)
            continue
        yield Setting(path, _value(field), _default(field), field.description or "")
        step, entry = _step(annotation, "")
        if _is_section(entry):
            yield from settings(entry, (*path, step))


def names_at(section: type[Section], path: Loc) -> list[str]:
    """Give the settings that may stand directly below `path`; none where names are the operator's own."""
    annotation: Any = section
    for step in path:
        _, annotation = _step(annotation, step)
    return list(annotation.model_fields) if _is_section(annotation) else []


def _step(annotation: Any, step: str | int) -> tuple[str, Any]:
    """Go one step down from a section, mapping or list: its general name, and the type that lies there."""
    if _is_section(annotation):
        field = annotation.model_fields.get(step)
        return str(step), field and field.annotation
    if get_origin(annotation) is dict:
        return EACH_KEY, get_args(annotation)[1]
    if get_origin(annotation) is tuple:
        return EACH_ITEM, get_args(annotation)[0]
    return str(step), None


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Section)


def _value(field: FieldInfo) -> str:
    annotation = field.annotation
    if _is_section(_step(annotation, "")[1]):
        return "list" if get_origin(annotation) is tuple else "mapping"
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{word}`" for word in get_args(annotation))
    if get_origin(annotation) is tuple and not any(isinstance(part, Kind) for part in field.metadata):
        return f"list: {_kind(get_args(get_args(annotation)[0])).word}"
    return _kind(field.metadata).word


def _default(field: FieldInfo) -> str:
    if field.json_schema_extra is not None:
        return str(dict(field.json_schema_extra)["default_text"])  # type: ignore[arg-type]  # ours are mappings
    if field.is_required():
        return "must be written"
    default = field.get_default()
    if default is None:
        return "`null`"
    if default in ((), {}, ""):
        return "empty"
    if get_origin(field.annotation) is Literal:
        return f"`{default}`"
    return f"`{_kind(field.metadata).show(default)}`"


def _kind(metadata: Iterable[Any]) -> Kind:
    return next(part for part in metadata if isinstance(part, Kind))

"""YAML in, plain values out, with the line of each.

A small YAML on purpose. A plain scalar is what YAML 1.2's core schema says, as
far as settings need it: `null`, `true`, `false`, a whole decimal number; all else
is text as it stands there, so `no` is a word, `0660` keeps its zero, and `1:30`
is not a number. A key written twice, merge keys (`<<`) and tags are refused.

Source:  YAML 1.2.2 §10.3 (core schema)
Limits:  MAX_OCTETS of text, MAX_DEPTH levels, MAX_VALUES with all aliases followed.
"""

import re
from typing import Any

import yaml

from postroom.config.section import Loc
from postroom.config.units import quoted

MAX_OCTETS = 1_000_000
MAX_DEPTH = 32
MAX_VALUES = 20_000

_NULL, _BOOL, _INT, _STR = (f"tag:yaml.org,2002:{word}" for word in ("null", "bool", "int", "str"))
_WHOLE = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})\Z")  # 18 digits always fit 64 bits
_TAGS = {_NULL, _BOOL, _INT, _STR, "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"}
_HALF = "holds half a character; write the character itself, not \\u escapes of its halves"


class DocumentInvalid(Exception):
    """The text as a whole cannot be read; `line` (from 1, 0: none in particular) and `text` say why."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line
        self.text = text


class _Loader(yaml.SafeLoader):
    """PyYAML's reader with fewer plain types, which stops before deep or endless nesting exhausts the stack."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 (PyYAML's own way; add_implicit_resolver copies it)
    _depth = 0
    _nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        self._nodes += 1
        _bound(self._depth - 1, self._nodes, self.get_mark().line + 1)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


_Loader.add_implicit_resolver(_NULL, re.compile(r"(?:null|Null|NULL|~|)\Z"), ["n", "N", "~", ""])
_Loader.add_implicit_resolver(_BOOL, re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF"))
_Loader.add_implicit_resolver(_INT, _WHOLE, list("+-0123456789"))


def _bound(depth: int, values: int, line: int) -> None:
    if depth > MAX_DEPTH:
        raise DocumentInvalid(line, f"is nested deeper than {MAX_DEPTH} levels here; look for an alias inside itself")
    if values > MAX_VALUES:
        raise DocumentInvalid(0, f"has more than {MAX_VALUES} values; write fewer, or fewer aliases")


class Document:
    """A YAML document as plain values.

    Attributes:
        tree:     mappings, lists and scalars; mappings have text as keys.
        faults:   line, path and text of what was refused and left out of `tree`.
    """

    def __init__(self, root: yaml.Node) -> None:
        self.faults: list[tuple[int, Loc, str]] = []
        self._lines: dict[Loc, int] = {}
        self._values = 0
        self.tree = self._read(root, (), root.start_mark.line + 1)

    def line(self, path: Loc) -> int:
        """Give the line of the setting at `path`; of what is not written, the line of what should hold it."""
        while path not in self._lines and path:
            path = path[:-1]
        return self._lines.get(path, 1)

    def _read(self, node: yaml.Node, path: Loc, line: int) -> Any:
        self._values += 1
        _bound(len(path), self._values, line)
        self._lines[path] = line
        if node.tag not in _TAGS:
            self.faults.append((line, path, f"{quoted(node.tag)} is a tag; tags are not read, write the value alone"))
            return None
        match node:
            case yaml.MappingNode():
                return self._mapping(node, path)
            case yaml.SequenceNode():
                items = enumerate(node.value)
                return [self._read(item, (*path, index), item.start_mark.line + 1) for index, item in items]
            case _ if _has_surrogate(node.value):
                self.faults.append((line, path, _HALF))
                return None
            case _:
                return _scalar(node.tag, node.value)

    def _mapping(self, node: yaml.MappingNode, path: Loc) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            name = key.value
            if not isinstance(name, str):
                self.faults.append((line, path, "a key is a list or a mapping; write a word"))
            elif _has_surrogate(name):
                self.faults.append((line, (*path, name), _HALF))
            elif name == "<<":
                self.faults.append((line, (*path, name), "merge keys are not read; write the settings out"))
            elif name in result:
                first = self._lines[(*path, name)]
                text = f"is written twice, on line {first} and here; delete one of them"
                self.faults.append((line, (*path, name), text))
            else:
                result[name] = self._read(value, (*path, name), line)
        return result


def _scalar(tag: str, text: str) -> str | int | bool | None:
    if tag == _NULL:
        return None
    if tag == _BOOL:
        return text.lower() == "true"
    if tag == _INT and _WHOLE.match(text):
        return int(text)
    return text


def _has_surrogate(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


def compose(text: str) -> Document:
    """Read one YAML document.

    Raises:
        DocumentInvalid: it is empty, no YAML, several documents, or over the limits.
    """
    loader = None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise DocumentInvalid(line, f"holds the character {_code_point(error.character)}; delete it") from None
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(error, text) from None
    except (ValueError, OverflowError):
        # PyYAML hands some numbers to chr() and int() unasked: "\UFFFFFFFF", %YAML 1.999…
        line = loader.get_mark().line + 1 if loader is not None else 0
        raise DocumentInvalid(line, "this is not YAML: a number in an escape or directive is out of range") from None
    if root is None:
        raise DocumentInvalid(0, "is empty; write at least domains:, and below it one domain")
    return Document(root)


def _not_yaml(error: yaml.MarkedYAMLError, text: str) -> DocumentInvalid:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark is not None else 0
    before = text[text.rfind("\n", 0, mark.index) + 1 : mark.index + 1] if mark is not None else ""
    if "\t" in before and not before.strip():
        return DocumentInvalid(line, "is indented with a tab; indent with spaces")
    if error.context == "expected a single document in the stream":
        return DocumentInvalid(line, "begins a second document; write one, without another ---")
    reason = ", ".join(part for part in (error.context, error.problem) if part)
    return DocumentInvalid(line, f"this is not YAML: {reason}; look at this line and the one before it")


def _code_point(character: str | int) -> str:
    return f"U+{character if isinstance(character, int) else ord(character):04X}"

"""What can be seen in a template without rendering it, so that no branch hides a fault.

    examine(source, environment, names, references) -> every fault of one source, and the names it reads

Rendering at load (catalogue.py) finds the rest, in the branches its data reach.
"""

import difflib
from collections.abc import Callable, Collection, Iterator
from functools import partial

from jinja2 import Environment, TemplateSyntaxError, nodes

from postroom.templating.folders import SourceFile
from postroom.templating.manifest import SYNTAX
from postroom.templating.problems import TemplateProblem


def examine(
    source: SourceFile, environment: Environment, names: Collection[str] | None, references: Collection[str]
) -> tuple[list[TemplateProblem], frozenset[str]]:
    """Syntax, unknown filters and tests, private names, forbidden calls, unknown variables and files.

    Args:
        names:      the variables the source may read; None if they are not known.
        references: the names of the files it may extend or import.

    Returns:
        The faults, and every name the source reads: no variable whose value it can show is missing.
    """
    read: set[str] = set()
    try:
        tree = environment.parse(source.text, source.name, source.path)
        read = _read(tree)
        found = [*_forbidden(tree, environment), *_references(source.name, tree, references)]
        if not found and names is not None:
            found = list(_undeclared(tree, read, names))
        if not found:
            environment.get_template(source.name)
    except TemplateSyntaxError as error:
        found = [(error.lineno, f"template syntax: {error.message}", "correct it; docs/templates.md shows the syntax")]
    except (RecursionError, SyntaxError):
        # Python's own limits on nesting, met by the parser or by the code made of the template.
        found = [(0, "it is nested too deeply", "use fewer levels")]
    return [TemplateProblem(source.path, line, what, mend) for line, what, mend in found], frozenset(read)


_Fault = tuple[int, str, str]
_ESCAPED = ("{% autoescape %} is not available in mail: every value is escaped in HTML", "remove it")


def _forbidden(tree: nodes.Template, environment: Environment) -> Iterator[_Fault]:
    checks: dict[type[nodes.Node], Callable[..., tuple[str, str] | None]] = {
        nodes.Filter: partial(_known, environment.filters, "filter"),
        nodes.Test: partial(_known, environment.tests, "test"),
        nodes.Getattr: lambda node: _private(node.attr),
        nodes.Getitem: _subscript,
        nodes.Name: lambda node: _private(node.name),
        nodes.Call: _call,
        nodes.EvalContextModifier: lambda _: _ESCAPED,
        nodes.ScopedEvalContextModifier: lambda _: _ESCAPED,
        nodes.Include: lambda _: ("{% include %} is not available in mail", "write a macro and import it"),
    }
    for node in tree.find_all(tuple(checks)):
        if found := checks[type(node)](node):
            yield node.lineno, *found


def _known(table: Collection[str], kind: str, node: nodes.Filter | nodes.Test) -> tuple[str, str] | None:
    if node.name in table:
        return None
    where = "docs/templates.md" if kind == "filter" else "Jinja's manual"
    return f"there is no {kind} '{node.name}'", f"{where} lists the {kind}s"


def _private(name: object) -> tuple[str, str] | None:
    if isinstance(name, str) and name.startswith("_"):
        return f"'{name}' is private: nothing that begins with an underscore can be read", "remove it"
    return None


def _subscript(node: nodes.Getitem) -> tuple[str, str] | None:
    if isinstance(node.arg, nodes.Const):
        return _private(node.arg.value)
    # A value used as a name would stand in the error when there is nothing of that name.
    if isinstance(node.arg, nodes.Name) or node.arg.find(nodes.Name):
        return "what is in [ ] would be known only when it is rendered", "write the name or number itself"
    return None


def _call(node: nodes.Call) -> tuple[str, str] | None:
    # Macros, super() and caller() are names; loop.cycle() and self.block() are attributes of these two;
    # macros.button() is one of an imported file. The sandbox asks again when it is called.
    target = node.node
    if isinstance(target, nodes.Name) or (isinstance(target, nodes.Getattr) and isinstance(target.node, nodes.Name)):
        return None
    return "only macros, blocks, range() and loop.cycle() can be called", "use a filter or a macro"


def _references(source: str, tree: nodes.Template, allowed: Collection[str]) -> Iterator[_Fault]:
    for node in tree.find_all((nodes.Extends, nodes.Import, nodes.FromImport)):
        wanted = getattr(node, "template")  # noqa: B009 - all three have it; find_all promises only Node
        name = wanted.value if isinstance(wanted, nodes.Const) else None
        if name is None:
            yield node.lineno, "which file is meant would be known only when it is rendered", "write its name in quotes"
        elif name not in allowed:
            yield node.lineno, f"there is no file {name!r} to use here", "name a file of _layout"
        elif isinstance(node, nodes.Extends) and source.endswith(".html") and not name.endswith(".html"):
            # What stands in the blocks would be escaped, what the layout itself writes would not.
            yield node.lineno, f"{name!r} is no HTML, and nothing is escaped in it", "extend an .html file"


def _undeclared(tree: nodes.Template, read: set[str], names: Collection[str]) -> Iterator[_Fault]:
    for name in sorted(read - set(_made(tree)) - SYNTAX - set(names)):
        lines = [node.lineno for node in tree.find_all(nodes.Name) if node.name == name]
        close = difflib.get_close_matches(name, names, n=1)
        mend = f"did you mean '{close[0]}'?" if close else "declare it in template.yaml"
        yield min(lines), f"'{name}' is not a variable of this template", mend


def _read(tree: nodes.Template) -> set[str]:
    return {node.name for node in tree.find_all(nodes.Name) if node.ctx == "load"}


def _made(tree: nodes.Template) -> Iterator[str]:
    """Names the source makes itself, wherever in it. One read before it is made fails when it is rendered."""
    for node in tree.find_all((nodes.Name, nodes.Macro, nodes.Import, nodes.FromImport)):
        match node:
            case nodes.Name() if node.ctx != "load":
                yield node.name
            case nodes.Macro():
                yield node.name
            case nodes.Import():
                yield node.target
            case nodes.FromImport():
                yield from (name if isinstance(name, str) else name[1] for name in node.names)

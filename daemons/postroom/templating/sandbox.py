"""The Jinja environment of mail: a sandbox with an account of the work a template does.

What a template may do is listed, not what it may not: the filters in FILTERS, calls of
macros, blocks, `range`, `loop.cycle` and `loop.changed`. No method of a value can be called, no
name that begins with an underscore can be read, and no file or address can be opened: the
loader knows the sources it was given. HTML is escaped, whatever a template says: there is no `|safe` and no
`{% autoescape %}`, and what a macro of a .txt file gives is text in HTML like any other.

Bounded, for one mail (a template that goes over ends in TemplateFault):
    WORK_UNITS      one for each character (or item) written, joined or filtered, 16 for each turn
                    of a loop, 64 for each call; so also nested loops and macros that double each other
    RANGE_STEPS     the steps of one range()
    LARGEST_NUMBER  the result of any arithmetic; there is no power, and no arithmetic on text
The size of the finished parts is bounded in render.py, that of a file in folders.py.

Source:  Jinja "Sandbox"; the sandbox bounds neither time nor memory by itself ("Security Considerations").
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime
from types import SimpleNamespace
from typing import Any

from babel import Locale
from jinja2 import (
    BaseLoader,
    Environment,
    StrictUndefined,
    Template,
    TemplateNotFound,
    TemplateSyntaxError,
    nodes,
    pass_context,
)
from jinja2.exceptions import TemplateRuntimeError
from jinja2.runtime import BlockReference, Context, LoopContext, Macro, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

from postroom.templating import formats
from postroom.templating.brand import Brand
from postroom.templating.logo import Logo

WORK_UNITS = 4_000_000
LOOP_UNITS = 16
CALL_UNITS = 64
RANGE_STEPS = 1_000
LARGEST_NUMBER = 2**53

# None of these can make a long text, or much work, out of something short.
# `join`, `replace`, `format`, `indent`, `center` and `round` (10 to the power of its precision) can.
_PLAIN_FILTERS = frozenset(
    {"abs", "capitalize", "count", "d", "default", "e", "escape", "length", "lower", "string", "title", "trim"}
    | {"truncate", "upper", "urlencode"}
)


_PLAIN_DATA = frozenset({Brand, Logo, formats.Money, SimpleNamespace})


class TemplateFault(TemplateRuntimeError):
    """The template did what mail templates may not; the message carries no values."""


class _Account:
    def __init__(self, rules: Locale) -> None:
        self.left = WORK_UNITS
        self.rules = rules

    def charge(self, units: int) -> None:
        self.left -= units
        if self.left < 0:
            raise TemplateFault(f"it does too much: more than {WORK_UNITS} units of work for one mail")


# A macro that was imported does not see the caller's context, so the account cannot travel in it.
_account: ContextVar[_Account] = ContextVar("postroom_template_account")


@contextmanager
def account(rules: Locale) -> Iterator[None]:
    """Opens the account of one mail; whatever is rendered inside is charged to it, and speaks its language."""
    token = _account.set(_Account(rules))
    try:
        yield
    finally:
        _account.reset(token)


def environment(sources: Mapping[str, tuple[str, str]], brand: Brand) -> Environment:
    """A sealed environment over `sources`: name -> (source, the file it came from)."""
    sealed = _Sandbox(
        loader=_Metered(sources),
        autoescape=lambda name: name is None or not name.endswith(".txt"),
        undefined=StrictUndefined,
        finalize=_written,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
    )
    sealed.globals = {"range": _range, "brand": brand}
    sealed.filters = (
        {name: sealed.filters[name] for name in _PLAIN_FILTERS} | _SPOKEN_FILTERS | {_STEPS: _steps, _HANDLED: _handled}
    )
    return sealed


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        # Ours are plain data: what Jinja looks for in functions, frames and lists is not there, and costs time.
        if type(obj) in _PLAIN_DATA:
            return not attr.startswith("_")
        return super().is_safe_attribute(obj, attr, value)

    def is_safe_callable(self, obj: Any) -> bool:
        if isinstance(obj, Macro | BlockReference) or obj is _range:
            return True
        return isinstance(getattr(obj, "__self__", None), LoopContext) and obj.__name__ in {"cycle", "changed"}

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "**":
            raise TemplateFault("'**' is not available in mail")
        if not all(isinstance(side, int | float) for side in (left, right)):
            raise TemplateFault(f"'{operator}' is only for numbers; text is joined with '~'")
        result = super().call_binop(context, operator, left, right)
        if abs(result) > LARGEST_NUMBER:
            raise TemplateFault(f"the result of '{operator}' is too large")
        return result

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        if not self.is_safe_callable(obj):
            raise TemplateFault("only macros, blocks, range() and loop.cycle() can be called")
        result = context.call(obj, *args, **kwargs)
        if isinstance(obj, Macro) and isinstance(result, Markup) and not obj._default_autoescape:  # noqa: SLF001
            # Jinja takes what a macro gives for HTML if its caller writes HTML; this one has escaped nothing.
            result = str(result)
        _account.get().charge(CALL_UNITS + _size(result))
        return result


def _range(*bounds: int) -> range:
    steps = range(*bounds)
    # len() of a range beyond sys.maxsize raises OverflowError; the ends do not.
    if steps and abs(steps[-1] - steps[0]) // abs(steps.step) >= RANGE_STEPS:
        raise TemplateFault(f"range() has more than {RANGE_STEPS} steps")
    return steps


# pass_context keeps Jinja from working these out at compile time, when there is no account.
@pass_context
def _written(_: Context, value: object) -> object:
    if isinstance(value, Undefined):
        return str(value)  # raises UndefinedError, which names the variable
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        kind = {"NoneType": "an absent value", "bool": "a boolean"}.get(type(value).__name__, "a list or object")
        raise TemplateFault(f"{kind} cannot be written as text; ask {{% if %}} first")
    _account.get().charge(1 + _size(value))
    return value


@pass_context
def _steps(_: Context, iterable: Iterable[object], units: int) -> Iterator[object]:
    charge = _account.get().charge
    for item in iterable:
        charge(units)
        yield item


@pass_context
def _handled(_: Context, value: object) -> object:
    _account.get().charge(_size(value))
    return value


@pass_context
def _date(_: Context, value: object, style: str = "long") -> object:
    return _say("date", formats.date_text, value, date, style=_styled(style))


@pass_context
def _datetime(_: Context, value: object, style: str = "long") -> object:
    return _say("datetime", formats.datetime_text, value, datetime, style=_styled(style))


@pass_context
def _time(_: Context, value: object) -> object:
    return _say("time", formats.time_text, value, datetime)


@pass_context
def _money(_: Context, value: object) -> object:
    return _say("money", formats.money_text, value, formats.Money)


@pass_context
def _number(_: Context, value: object) -> object:
    return _say("number", formats.number_text, value, int | float)


@pass_context
def _percent(_: Context, value: object) -> object:
    return _say("percent", formats.percent_text, value, int | float)


@pass_context
def _plural(_: Context, value: object, **forms: str) -> object:
    if "other" not in forms or not forms.keys() <= formats.PLURALS:
        raise TemplateFault('\'plural\' is written plural(one="day", other="days"); `other` is needed')
    return _say("plural", formats.plural_form, value, int | float, forms=forms)


@pass_context
def _defuse(_: Context, value: object) -> object:
    return formats.defuse(value) if isinstance(value, str) else value


def _say(name: str, speak: Callable[..., str], value: Any, kind: Any, **more: object) -> object:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, kind):
        raise TemplateFault(f"'{name}' does not take this type of value")
    return speak(value, _account.get().rules, **more)


def _styled(style: object) -> object:
    if style not in formats.STYLES:
        raise TemplateFault("the styles of dates are short, medium, long and full")
    return style


# By the rules of the mail's language; an absent value stays absent.
_SPOKEN_FILTERS = {
    "date": _date,
    "datetime": _datetime,
    "defuse": _defuse,
    "money": _money,
    "number": _number,
    "percent": _percent,
    "plural": _plural,
    "time": _time,
}
FILTERS = _PLAIN_FILTERS | _SPOKEN_FILTERS.keys()


def _size(value: object) -> int:
    return len(value) if isinstance(value, str | list | range) else 0


# Names no template can write, so that no template can call these itself.
_STEPS, _HANDLED = "postroom steps", "postroom handled"


class _Metered(BaseLoader):
    """Compiles a source after putting the account into its loops, its joins and what it gives to filters."""

    def __init__(self, sources: Mapping[str, tuple[str, str]]) -> None:
        self._sources = sources

    def load(
        self,
        environment: Environment,
        name: str,
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002 - Jinja's word
    ) -> Template:
        if name not in self._sources:
            raise TemplateNotFound(name)
        source, file = self._sources[name]
        code = environment.compile(_Meter().visit(environment.parse(source, name, file)), name, file)
        return environment.template_class.from_code(environment, code, dict(globals or {}), None)


class _Meter(NodeTransformer):
    def visit_ScopedEvalContextModifier(self, node: nodes.ScopedEvalContextModifier) -> nodes.Node:  # noqa: N802
        # sources.py says it in full, before anything is compiled.
        raise TemplateSyntaxError("{% autoescape %} is not available in mail", node.lineno)

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - the visitor's spelling
        text = sum(len(data.data) for data in node.find_all(nodes.TemplateData))
        self.generic_visit(node)
        node.iter = _filtered(
            node.iter, _STEPS, nodes.Const(LOOP_UNITS + text, lineno=node.lineno, environment=node.environment)
        )
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - the visitor's spelling
        self.generic_visit(node)
        return _filtered(node, _HANDLED)

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:  # noqa: N802 - the visitor's spelling
        self.generic_visit(node)
        if node.node is not None:
            node.node = _filtered(node.node, _HANDLED)
        return node


def _filtered(value: nodes.Node, name: str, *arguments: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(
        value, name, list(arguments), [], None, None, lineno=value.lineno, environment=value.environment
    )

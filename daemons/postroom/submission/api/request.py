"""A request to send, read: octets to a checked message, or every fault of it. Pure.

Two steps: `document` reads JSON (any octets give a document or an ApiProblem),
`message_request` checks it against the fields of the API.

Limits:  MAX_DEPTH levels of nesting, MAX_KEYS keys in an object, MAX_KEY characters in a key, MAX_DIGITS in a whole
         number, MAX_RECIPIENTS mailboxes in a list: a request within the size limit must not cost more than reading
         it. A key twice in one object, a number that is not a finite number, a NUL and half a surrogate pair anywhere
         are refused, because the ways they are understood differ.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from postroom.mail.addresses import AddressInvalid, Mailbox, parse_mailbox
from postroom.mail.controls import control_in
from postroom.submission.api.problem import ApiProblem, FieldError

MAX_DEPTH = 32
MAX_KEYS = 200
MAX_KEY = 200
MAX_DIGITS = 300
MAX_RECIPIENTS = 50
MAX_SUBJECT = 998
MAX_FAULTS = 100

_TEXT_NEVER = re.compile("[\x00\ud800-\udfff]")
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]')
_KEY = re.compile(r"[!-~]{1,255}")


def idempotency_key(written: str) -> str:
    """The value of an Idempotency-Key header.

    Raises:
        ApiProblem: 400, it is empty, too long, or not printable ASCII.
    """
    if _KEY.fullmatch(written) is None:
        raise ApiProblem(
            400,
            "malformed",
            "Idempotency-Key must be 1 to 255 printable ASCII characters without blanks, such as a UUID",
        )
    return written


def document(octets: bytes) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ApiProblem: 400 for what is not JSON, 422 for text that no mail can carry; both with the place.
    """
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ApiProblem(400, "malformed", f"the body is not UTF-8 (octet {error.start})") from None
    try:
        read = json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_integer
        )
        if not isinstance(read, dict):
            raise ApiProblem(400, "malformed", "the body must be a JSON object")
        faults = [fault for fault, _ in zip(_faults(read, "", 0), range(MAX_FAULTS), strict=False)]
    except (RecursionError, _TooDeep):
        raise ApiProblem(
            400, "malformed", f"the body is nested deeper than {MAX_DEPTH} levels ({_deep_place(text)})"
        ) from None
    except json.JSONDecodeError as error:
        raise ApiProblem(
            400, "malformed", f"the body is not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        ) from None
    ambiguous = [fault for fault in faults if fault.code == "ambiguous"]
    if ambiguous:
        raise ApiProblem(400, "malformed", f"the body is ambiguous JSON: {ambiguous[0].detail}", ambiguous)
    if faults:
        raise invalid(faults)
    return read


class _TooDeep(ValueError):
    """More than MAX_DEPTH levels."""


class _Ambiguous(str):
    """Stands where there is JSON that two readers may understand in two ways, and says what; where it stands is known
    only when all is read."""

    __slots__ = ()


class _KeyTwice(dict[str, Any]):
    """An object with a key twice; `key` is that one."""

    key = ""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        seen: set[str] = set()
        read = _KeyTwice(pairs)
        read.key = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return read


def _constant(constant: str) -> object:
    return _Ambiguous(f"{constant} is not a JSON number")


def _float(text: str) -> object:
    value = float(text)
    return value if math.isfinite(value) else _Ambiguous("a number is out of range")


def _integer(text: str) -> object:
    # Python reads no more than 4,300 digits, and the time that takes grows with their square.
    return int(text) if len(text) <= MAX_DIGITS else _Ambiguous(f"a number has more than {MAX_DIGITS} digits")


def _deep_place(text: str) -> str:
    """Where the level begins that is one too many."""
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(text):
        depth += 1 if found[0] in "[{" else -1 if found[0] in "]}" else 0
        if depth > MAX_DEPTH:
            line_start = text.rfind("\n", 0, found.start()) + 1
            return f"line {text.count(chr(10), 0, found.start()) + 1}, column {found.start() - line_start + 1}"
    return "line 1"


def _faults(value: object, pointer: str, depth: int) -> Iterator[FieldError]:
    if depth > MAX_DEPTH:
        raise _TooDeep
    if isinstance(value, str):
        yield from _text_faults(value, pointer)
    elif isinstance(value, dict) and len(value) > MAX_KEYS:
        yield FieldError(pointer, "too_many", f"has more than {MAX_KEYS} keys")
    elif isinstance(value, dict):
        if isinstance(value, _KeyTwice):
            yield FieldError(pointer, "ambiguous", f"the key {value.key[:64]!a} appears twice in one object")
        for key, below in value.items():
            if len(key) > MAX_KEY:
                # Never part of a pointer: each fault below would repeat it.
                yield FieldError(pointer, "too_long", f"a key has more than {MAX_KEY} characters")
            elif _TEXT_NEVER.search(key):
                yield FieldError(pointer, "control_character", "a key holds a NUL or half a surrogate pair; rename it")
            else:
                yield from _faults(below, f"{pointer}/{_escaped(key)}", depth + 1)
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from _faults(below, f"{pointer}/{index}", depth + 1)


def _text_faults(text: str, pointer: str) -> Iterator[FieldError]:
    if isinstance(text, _Ambiguous):
        yield FieldError(pointer, "ambiguous", str(text))
    elif (found := _TEXT_NEVER.search(text)) is not None:
        yield FieldError(
            pointer, "control_character", f"holds U+{ord(found[0]):04X}, which no mail can carry; leave it out"
        )


def _escaped(key: str) -> str:
    """RFC 6901 §3."""
    return key.replace("~", "~0").replace("/", "~1")


def _mailbox(written: object) -> object:
    return parse_mailbox(written) if isinstance(written, str) else written


def _listed(written: object) -> object:
    """One mailbox may be written without brackets."""
    if isinstance(written, list) and len(written) > MAX_RECIPIENTS:
        # Before any is read: pydantic's own max_length reads them all, each with its error.
        raise PydanticCustomError("too_many", "too many mailboxes")
    return [written] if isinstance(written, str) else written


def _one_line(text: str) -> str:
    found = control_in(text)
    if found is not None:
        raise ValueError(f"must be one line without control characters; it holds {found}")
    return text


_Mailbox = Annotated[Mailbox, BeforeValidator(_mailbox)]
_Mailboxes = Annotated[tuple[_Mailbox, ...], BeforeValidator(_listed)]


class _Strict(BaseModel):
    # Not strict as a whole: strict would refuse a list for a tuple. The fields that hold text are strict themselves.
    model_config = ConfigDict(extra="forbid", frozen=True)


class TemplateChoice(_Strict):
    """A template by name, in a locale (or its default), with the values of its variables."""

    name: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=64)]
    locale: Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9_-]{1,35}$")] | None = None
    data: dict[str, Any] = Field(default_factory=dict)


class MessageRequest(_Strict):
    """The fields of POST /v1/messages."""

    from_: Annotated[_Mailbox | None, Field(alias="from")] = None
    to: _Mailboxes = ()
    cc: _Mailboxes = ()
    bcc: _Mailboxes = ()
    reply_to: _Mailboxes = ()
    subject: (
        Annotated[str, StringConstraints(strict=True, min_length=1, max_length=MAX_SUBJECT), AfterValidator(_one_line)]
        | None
    ) = None
    text: Annotated[str, StringConstraints(strict=True, min_length=1)] | None = None
    html: Annotated[str, StringConstraints(strict=True, min_length=1)] | None = None
    template: TemplateChoice | None = None
    stream: Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z][a-z0-9_-]{0,63}$")] | None = None

    @property
    def recipients(self) -> tuple[str, ...]:
        """The envelope recipients, each once, in the order to, cc, bcc."""
        return tuple(dict.fromkeys(mailbox.address for mailbox in (*self.to, *self.cc, *self.bcc)))


def message_request(read: dict[str, Any]) -> tuple[MessageRequest, list[FieldError]]:
    """Read the fields of the API out of a document.

    Returns:
        What can be read, and the faults of the rest; whoever looks at what can be read adds the faults found
        there, so that the client sees all of them at once.
    """
    faults: list[FieldError] = []
    try:
        request = MessageRequest.model_validate(read)
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False)
        faults = [_fault(error) for error in errors]
        broken = {error["loc"][0] for error in errors}
        request = MessageRequest.model_validate({key: value for key, value in read.items() if key not in broken})
    unread = {fault.pointer.split("/")[1] for fault in faults}
    return request, faults + [fault for fault in _gaps(request, unread) if fault.pointer[1:] not in unread]


def _gaps(request: MessageRequest, unread: set[str]) -> Iterator[FieldError]:
    """What the fields that could be read lack, taken together; `unread` are those that could not."""
    if request.from_ is None:
        yield FieldError("/from", "missing", "is needed")
    recipients = len(request.recipients)
    if recipients == 0 and not unread & {"to", "cc", "bcc"}:
        yield FieldError("/to", "missing", "name at least one recipient in to, cc or bcc")
    if recipients > MAX_RECIPIENTS:
        yield FieldError("/to", "too_many", f"{recipients} recipients; one message has at most {MAX_RECIPIENTS}")
    if request.template is not None:
        for name in ("subject", "text", "html"):
            if getattr(request, name) is not None:
                yield FieldError(f"/{name}", "conflict", "comes from the template; leave it out, or leave out template")
    elif "template" not in unread:
        if request.subject is None:
            yield FieldError("/subject", "missing", "a message without a template needs a subject")
        if request.text is None and request.html is None:
            yield FieldError("/text", "missing", "a message without a template needs text, html or both")


def invalid(faults: list[FieldError]) -> ApiProblem:
    """The refusal of a request with these faults."""
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    return ApiProblem(422, "invalid", f"{count}; see errors", faults[:MAX_FAULTS])


_CODES = {
    "missing": ("missing", "is needed"),
    "extra_forbidden": ("unknown", "is not a field of this request"),
    "string_type": ("wrong_type", "must be a string"),
    "dict_type": ("wrong_type", "must be an object"),
    "model_type": ("wrong_type", "must be an object"),
    "tuple_type": ("wrong_type", "must be a list of mailboxes, or one"),
    "is_instance_of": ("wrong_type", "must be a string"),
    "dataclass_type": ("wrong_type", "must be a string"),
    "too_many": ("too_many", f"has more than {MAX_RECIPIENTS} mailboxes"),
    "string_too_short": ("too_short", "must not be empty"),
    "string_pattern_mismatch": ("malformed", "must be a word such as newsletter: a-z first, then a-z, 0-9, - and _"),
}


def _fault(error: Any) -> FieldError:
    """Our words for an error of pydantic's, whose own may quote the value."""
    pointer = "".join(f"/{_escaped(str(part))}" for part in error["loc"])
    if error["type"] == "value_error":
        cause = error["ctx"]["error"]
        if isinstance(cause, AddressInvalid):
            return FieldError(pointer, "address_invalid", cause.reason)
        return FieldError(pointer, "control_character", str(cause))
    if pointer == "/template/locale" and error["type"] == "string_pattern_mismatch":
        return FieldError(pointer, "malformed", "is not a locale, such as en or de-AT")
    if error["type"] == "string_too_long":
        return FieldError(pointer, "too_long", f"has more than {error['ctx']['max_length']} characters")
    return FieldError(pointer, *_CODES.get(error["type"], ("invalid", "cannot be read")))

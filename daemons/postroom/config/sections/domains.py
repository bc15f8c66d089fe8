"""The domains mail may be From, each with the return path of its mail.

What a return path may be, and the mailbox it has by default, follows from the
name of its domain, so these are read one by one, each with its name at hand.
"""

from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field, ValidationError, ValidationInfo, ValidatorFunctionWrapHandler, field_validator
from pydantic_core import InitErrorDetails

from postroom.config import return_path, values
from postroom.config.cross_checks import selected_twice
from postroom.config.return_path import ReturnPath
from postroom.config.section import Section, fault, faults_of, raise_all, read_beside


class DkimKey(Section):
    """A key that signs the mail of a domain."""

    selector: values.Selector = Field(
        description="Its name in DNS: the public key stands at `<selector>._domainkey.<domain>`."
    )
    key_file: values.AbsolutePath = Field(
        description="The private key, in PEM: RSA of 1024 bits or more (2048 is right), or Ed25519. "
        "Only the milter's user, or its group, may read it."
    )


class FromDomain(Section):
    """A domain that mail may be From. It may stand with nothing below it."""

    return_path: Annotated[ReturnPath, values.Kind("return path")] = Field(
        ReturnPath("none"),
        description="Where bounces go: `verp bounces.<domain>` (an address for each delivery, under the From domain), "
        "`shared returns.<domain>` (the same, for several From domains; no SPF alignment), or `none` (a mailbox).",
    )
    bounce_mailbox: values.OptionalAddress = Field(
        None,
        description="The mailbox that gets the bounces; only with return path `none`.",
        json_schema_extra={"default_text": "postmaster@ the From domain"},
    )
    dkim: tuple[DkimKey, ...] = Field(
        (),
        description="The keys that sign its mail, a signature from each: an RSA one, and an Ed25519 one beside it "
        "if you like. Without any its mail is not signed.",
    )

    @field_validator("return_path", mode="before")
    @classmethod
    def _fits_the_domain(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, ReturnPath):
            return value
        return return_path.return_path(values.as_written(value), (info.context or {}).get("from_domain"))

    @field_validator("bounce_mailbox")
    @classmethod
    def _only_with_none(cls, value: str | None, info: ValidationInfo) -> str | None:
        path = info.data.get("return_path")
        if value is not None and path is not None and path.kind != "none":
            raise ValueError(
                f"return_path {path} takes the bounces itself; delete this line, or write return_path: none"
            )
        return value

    @field_validator("dkim", mode="wrap")
    @classmethod
    def _selectors_differ(cls, value: Any, read: ValidatorFunctionWrapHandler) -> Any:
        return read_beside(() if value is None else value, read, selected_twice(value))


def read_domains(value: object) -> dict[str, FromDomain]:
    """Read the mapping of From domains; names come out in lower case, mailboxes filled in.

    Raises:
        ValueError: no mapping, or nothing in it.
        ValidationError: everything that is wrong below it.
    """
    if not isinstance(value, dict) or not value:
        raise ValueError("names no domain; write one below it, for example example.org: {}")
    domains: dict[str, FromDomain] = {}
    faults: list[InitErrorDetails] = []
    for written, settings in value.items():
        name = None
        try:
            name = values.domain_name(written)
            if name in domains:
                raise ValueError(f"is {name}, like one above it; keep one of the two")
        except ValueError as error:
            faults.append(fault((written,), error))
        try:
            domain = FromDomain.model_validate(settings, context={"from_domain": name})
        except ValidationError as invalid:
            faults += faults_of(invalid, below=(written,))
        else:
            domains[name or written] = _with_mailbox(domain, name or written)
    raise_all(faults)
    return domains


def _with_mailbox(domain: FromDomain, name: str) -> FromDomain:
    """The domain with the mailbox of its bounces filled in, where a mailbox takes them."""
    if domain.return_path.kind != "none":
        return domain
    mailbox = domain.bounce_mailbox or f"postmaster@{name}"
    return domain.model_copy(
        update={"bounce_mailbox": mailbox, "return_path": replace(domain.return_path, mailbox=mailbox)}
    )

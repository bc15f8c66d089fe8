"""What all sections of the configuration share, and how their validators report.

A section is frozen and knows its settings: an unknown key is an error. One that
is written with nothing below it (all commented out) has its defaults.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, ValidatorFunctionWrapHandler, model_validator
from pydantic_core import InitErrorDetails

RUN_DIR = Path("/run/postroom")
"""Default of `run_dir`."""
Loc = tuple[str | int, ...]
"""Where a value lies: the keys and list indexes that lead to it."""


class Section(BaseModel):
    """A mapping of settings: the base of all sections."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _nothing_written(cls, value: object) -> object:
        return {} if value is None else value


def fault(loc: Loc, error: ValueError) -> InitErrorDetails:
    """Put an error of ours at a place below the setting that is being read."""
    return InitErrorDetails(type="value_error", loc=loc, input=None, ctx={"error": error})


def faults_of(invalid: ValidationError, below: Loc = ()) -> list[InitErrorDetails]:
    """Give the errors of a reading again, moved down to `below`."""
    return [
        InitErrorDetails(
            type=error["type"], loc=(*below, *error["loc"]), input=error["input"], ctx=error.get("ctx", {})
        )
        for error in invalid.errors(include_url=False)
    ]


def read_beside(value: Any, read: ValidatorFunctionWrapHandler, faults: Iterable[InitErrorDetails]) -> Any:
    """Read `value`; what the reading finds and `faults` are raised together.

    For rules between entries of one list or mapping (a uid in two clients): a validator that runs
    after the reading would speak only once each entry is well by itself,
    and the operator would have to mend twice.

    Raises:
        ValidationError: there are faults.
    """
    found = list(faults)
    result = None
    try:
        result = read(value)
    except ValidationError as invalid:
        found += faults_of(invalid)
    raise_all(found)
    return result


def raise_all(faults: list[InitErrorDetails]) -> None:
    """Raise the faults as one ValidationError, if there are any."""
    if faults:
        raise ValidationError.from_exception_data("configuration", faults)

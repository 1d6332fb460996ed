"""Forms: what a launchpad opens with, and what is checked before anything is done.

The launchpad shows the defaults of a configuration, and Dagster renders them without comments. So a field that has no
default is given a hint as its default, between < and >: what belongs there, with an example. A hint that is left as it
is counts as a field that was not filled in.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from dagster import AssetExecutionContext, Config, ConfigMapping, DagsterError
from pydantic import Field, ValidationInfo, field_validator
from pydantic.config import JsonDict

from nachet_pipeline.errors import UsageError

_REQUIRED: JsonDict = {"required": True}


class FormError(UsageError, DagsterError):
    """A form is not filled in as it should be; the message names the fields, what is expected there, what was found.

    Dagster passes its own errors on as they are, and would hide another behind a sentence about a function.
    """


def required(what: str, example: str) -> Any:
    """A text that has to be filled in.

    Args:
        what: what it is.
        example: one.
    """
    hint = f"<{what}, such as {example}>"
    return Field(hint, description=hint[1:-1], validate_default=True, json_schema_extra=_REQUIRED)


def optional(what: str) -> Any:
    """A text that may be left out.

    Args:
        what: what it is, and what its absence means.
    """
    return Field(f"<optional, {what}>", description=what, validate_default=True)


class Form(Config):
    """The fields of a form. Text is stripped; what was not filled in is the empty text.

    A field whose hint was deleted, as in `email:`, is none in YAML: it was not filled in, too.
    """

    @field_validator("*", mode="before")
    @classmethod
    def _without_hint(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None:
            value = cls.model_fields[str(info.field_name)].default
        if not isinstance(value, str):
            return value
        text = value.strip()
        return "" if text.startswith("<") and text.endswith(">") else text

    def problems(self) -> list[str]:
        """What is wrong with the form, a sentence each."""
        fields = type(self).model_fields.items()
        return [
            f"{name}: expected {field.description}; found nothing"
            for name, field in fields
            if field.json_schema_extra == _REQUIRED and not getattr(self, name)
        ] + [
            f"{name}: expected {field.description}; found a character NUL, which the database cannot hold"
            for name, field in fields
            if "\0" in str(getattr(self, name))
        ]

    def check(self) -> None:
        """Refuse a form that is not filled in as it should be.

        Raises:
            FormError: it is not.
        """
        if problems := self.problems():
            raise FormError("; ".join(problems))


def form_of_job(op: str, form: type[Form]) -> ConfigMapping:
    """The configuration of a job of one op: its launchpad shows the form alone, and a wrong form starts no run.

    Args:
        op: the job's one op.
        form: its configuration.
    """

    def fill(given: Mapping[str, Any]) -> dict[str, Any]:
        filled = form(**given)
        filled.check()
        return {"ops": {op: {"config": dict(given)}}}

    return ConfigMapping(fill, config_schema=form.to_fields_dict())


def form_of_asset_job(op: str, form: type[Form]) -> ConfigMapping:
    """The configuration of a job of one asset: as that of `form_of_job`, in the place where an asset's step has it.

    The asset's own page has no such gate, so its step asks `is_usable`.

    Args:
        op: the asset's step.
        form: its configuration.
    """

    def check(given: Mapping[str, Any]) -> dict[str, Any]:
        form(**given["ops"][op]["config"]).check()
        return dict(given)

    return ConfigMapping(check, config_schema={"ops": {op: {"config": form.to_fields_dict()}}})


def is_usable(context: AssetExecutionContext, problems: Sequence[str]) -> bool:
    """Whether a run can do what its form says. If not, its log says why, and nothing is done: nothing is broken.

    A run that failed would turn the asset's checks red, though they judge no forms.
    """
    if problems:
        context.log.warning("Nothing was done, because of the form. %s", "; ".join(problems))
    return not problems

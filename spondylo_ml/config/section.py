"""What all sections of the configuration share."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import annotated_types
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_settings import NoDecode

from spondylo_ml.config.open_names import OpenNames

Item = TypeVar("Item")


def _split_at_commas(value: object) -> object:
    if not isinstance(value, str):
        return value
    inner = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    return tuple(part.strip() for part in inner.split(",") if part.strip())


CommaList = Annotated[tuple[Item, ...], BeforeValidator(_split_at_commas), NoDecode]
"""Several values, or one text of them separated by commas, such as 0,1 or [0,1]; a flag's value stays a text."""

Fraction = Annotated[float, Field(ge=0, le=1)]
Dropout = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """Base of the configuration's parts: frozen, no unknown names, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Append each field's allowed range to its help text."""
        for info in cls.model_fields.values():
            limits = [text for limit in info.metadata if (text := _limit_text(limit))]
            if limits and info.description and "[" not in info.description:
                info.description = f"{info.description} [{', '.join(limits)}]"


def _limit_text(limit: object) -> str:
    match limit:
        case OpenNames():
            return f"one of {', '.join(limit)}"
        case annotated_types.Ge(ge=value):
            return f">= {value}"
        case annotated_types.Gt(gt=value):
            return f"> {value}"
        case annotated_types.Le(le=value):
            return f"<= {value}"
        case annotated_types.Lt(lt=value):
            return f"< {value}"
    return ""

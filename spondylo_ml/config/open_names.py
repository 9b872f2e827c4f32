"""Names that a value of the configuration may have: those of the package, and those registered by other code."""

from __future__ import annotations

import re
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from spondylo_ml.errors import ConfigError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class OpenNames(list[str]):
    """A list of names to which `register` adds; `Annotated[str, names]` is a field that accepts these names.

    Attributes:
        what: the kind of thing that is named, such as "model".
    """

    def __init__(self, what: str, *names: str) -> None:
        super().__init__(names)
        self.what = what

    def register(self, name: str) -> None:
        """Add a name.

        Raises:
            ConfigError: the name exists already, or has other characters than letters, digits and `_`.
        """
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{self.what} name {name!r}: give letters, digits and _, a letter first")
        if name in self:
            raise ConfigError(f"a {self.what} named {name!r} exists already; taken: {', '.join(self)}")
        self.append(name)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "enum": list(self)}

    def _checked(self, name: str) -> str:
        if name not in self:
            *others, last = map(repr, self)
            raise PydanticKnownError("literal_error", {"expected": f"{', '.join(others)} or {last}"})
        return name

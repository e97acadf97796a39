"""DynamoDB's answers as they came: an attribute's value is its JSON already, but for what is binary.

botocore's parser looks in each value for each of the ten kinds there are, and makes it anew: for a page of forecasts
that was two thirds of all that an answer takes.
"""

from collections.abc import Mapping
from typing import Any, Final

from botocore.parsers import JSONParser, ResponseParserFactory

_AS_THEY_ARE: Final = frozenset({"S", "N", "BOOL", "NULL", "SS", "NS"})


class _Parser(JSONParser):
    def _handle_structure(self, shape: Any, value: Any) -> Any:
        if shape.name == "AttributeValue" and value and _is_parsed(value):
            return value
        return super()._handle_structure(shape, value)  # type: ignore[misc] # the stubs leave it out


class Parsers(ResponseParserFactory):
    """Those of botocore, and for JSON one that leaves values as they are."""

    def create_parser(self, protocol_name: str) -> Any:
        if protocol_name != "json":
            return super().create_parser(protocol_name)
        return _Parser(**self._defaults)  # type: ignore[attr-defined] # as above


def _is_parsed(value: Mapping[str, Any]) -> bool:
    """Whether nothing in an attribute's value has to be decoded."""
    for kind, content in value.items():  # there is one
        if kind == "L":
            return all(map(_is_parsed, content))
        if kind == "M":
            return all(map(_is_parsed, content.values()))
        return kind in _AS_THEY_ARE
    return False

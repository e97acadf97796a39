"""EventBridge's event patterns, as rules and event-source mappings use them to choose events."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Condition = Callable[[Any], bool]
Matcher = Callable[[Any], bool]


class PatternError(Exception):
    """The pattern uses an operator that does not exist or is not supported here."""


_MISSING = object()
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    "=": lambda a, b: a == b,
    ">=": lambda a, b: a >= b,
    ">": lambda a, b: a > b,
}


def compile_pattern(pattern: str | Mapping[str, Any]) -> Matcher:
    """A predicate on events for a pattern (JSON text or parsed).

    Every key of the pattern must match; a list offers alternatives: values, or the operators exists, prefix, suffix,
    equals-ignore-case, anything-but, numeric and wildcard; `$or` takes a list of patterns. A field that is an array
    matches when one of its elements does. Raises PatternError.
    """
    parsed = json.loads(pattern) if isinstance(pattern, str) else pattern
    if not isinstance(parsed, Mapping):
        raise PatternError(f"a pattern is an object, not {parsed!r}")
    return _object(parsed, "")


def any_of(patterns: Iterable[str | Mapping[str, Any]]) -> Matcher:
    """A predicate that one of the patterns matches, as FilterCriteria combine them; true for all when there is none."""
    matchers = [compile_pattern(pattern) for pattern in patterns]
    return lambda event: not matchers or any(matches(event) for matches in matchers)


def _object(pattern: Mapping[str, Any], path: str) -> Matcher:
    parts = [_alternatives(value, path) if key == "$or" else _field(key, value, path) for key, value in pattern.items()]
    return lambda event: all(part(event) for part in parts)


def _alternatives(patterns: Any, path: str) -> Matcher:
    if not isinstance(patterns, list) or len(patterns) < 2:
        raise PatternError(f"{path or 'the pattern'}: $or takes a list of two or more patterns")
    matchers = [_object(pattern, path) for pattern in patterns]
    return lambda event: any(matches(event) for matches in matchers)


def _field(key: str, pattern: Any, path: str) -> Matcher:
    here = f"{path}.{key}".lstrip(".")
    if isinstance(pattern, Mapping):
        nested = _object(pattern, here)
        # An object that is missing can still satisfy what asks for absence: its fields are looked for in vain.
        return lambda event: any(nested(value) for value in _values(event, key))
    if not isinstance(pattern, list) or not pattern:
        raise PatternError(f"{here}: a pattern's leaf is a list of alternatives, not {pattern!r}")
    conditions = [_condition(alternative, here) for alternative in pattern]
    return lambda event: any(condition(value) for value in _values(event, key) for condition in conditions)


def _values(event: Any, key: str) -> list[Any]:
    """What a field holds: the elements of an array, else the one value, or _MISSING."""
    value = event.get(key, _MISSING) if isinstance(event, Mapping) else _MISSING
    if isinstance(value, list):
        return value or [_MISSING]
    return [value]


def _condition(alternative: Any, path: str) -> Condition:
    if not isinstance(alternative, Mapping):
        return lambda value: _equal(value, alternative)
    if len(alternative) != 1:
        raise PatternError(f"{path}: one operator at a time, not {alternative!r}")
    [(operator, operand)] = alternative.items()
    if operator not in _OPERATORS:
        raise PatternError(f"{path}: unknown operator {operator!r}; known are {', '.join(sorted(_OPERATORS))}")
    return _OPERATORS[operator](operand, path)


def _equal(value: Any, wanted: Any) -> bool:
    """JSON equality: 1 is not true, null is only null."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    return value is not _MISSING and value == wanted


def _exists(operand: Any, path: str) -> Condition:
    if not isinstance(operand, bool):
        raise PatternError(f"{path}: exists takes true or false, not {operand!r}")
    # Only a leaf exists, as on AWS: an object in its place does not count.
    return lambda value: (value is not _MISSING and not isinstance(value, Mapping)) is operand


def _text(test: Callable[[str, str], bool], name: str) -> Callable[[Any, str], Condition]:
    def build(operand: Any, path: str) -> Condition:
        if not isinstance(operand, str):
            raise PatternError(f"{path}: {name} takes text, not {operand!r}")
        return lambda value: isinstance(value, str) and test(value, operand)

    return build


def _anything_but(operand: Any, path: str) -> Condition:
    unwanted = operand if isinstance(operand, list) else [operand]
    conditions = [_condition(alternative, path) for alternative in unwanted]
    return lambda value: value is not _MISSING and not any(condition(value) for condition in conditions)


def _numeric(operand: Any, path: str) -> Condition:
    if not isinstance(operand, list) or len(operand) not in (2, 4):
        raise PatternError(f"{path}: numeric takes [operator, number] once or twice, not {operand!r}")
    pairs = list(zip(operand[::2], operand[1::2], strict=True))
    if not all(symbol in _COMPARISONS and _is_number(bound) for symbol, bound in pairs):
        raise PatternError(f"{path}: numeric compares with {', '.join(_COMPARISONS)} and numbers, not {operand!r}")
    return lambda value: _is_number(value) and all(_COMPARISONS[symbol](value, bound) for symbol, bound in pairs)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _wildcard(value: str, pattern: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), value, re.DOTALL) is not None


_OPERATORS: dict[str, Callable[[Any, str], Condition]] = {
    "exists": _exists,
    "prefix": _text(str.startswith, "prefix"),
    "suffix": _text(str.endswith, "suffix"),
    "equals-ignore-case": _text(lambda value, wanted: value.casefold() == wanted.casefold(), "equals-ignore-case"),
    "wildcard": _text(_wildcard, "wildcard"),
    "anything-but": _anything_but,
    "numeric": _numeric,
}

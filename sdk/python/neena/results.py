"""From what a task returned to JSON text, or to a sentence that names the value JSON cannot hold."""

import dataclasses
import datetime
import decimal
import enum
import json
import math
import pathlib
import uuid

from .errors import ResultNotJson
from .models import is_pydantic

# Deeper nesting is refused: readers of a result wrap it in a few more levels, and JSON parsers
# commonly stop at 128.
MAX_DEPTH = 100


def encode(value):
    """The value as JSON in UTF-8. `ResultNotJson` names the place of what does not fit."""
    try:
        return _encoder.encode(value).encode("utf-8")
    except ResultNotJson:
        raise
    except Exception as error:
        raise ResultNotJson(_fault(value) or f"result: {error}") from error


def plain(value):
    """One step towards JSON for what the encoder does not know by itself; for its `default`."""
    if is_pydantic(value):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    for kinds, convert in _PLAIN:
        if isinstance(value, kinds):
            return convert(value)
    raise TypeError(f"a {type(value).__name__} has no form in JSON")


def _set(value):
    try:
        return sorted(value)
    except TypeError:
        return list(value)


_PLAIN = (
    (enum.Enum, lambda value: value.value),
    ((datetime.datetime, datetime.date, datetime.time), lambda value: value.isoformat()),
    (datetime.timedelta, lambda value: value.total_seconds()),
    ((uuid.UUID, decimal.Decimal, pathlib.PurePath), str),
    ((set, frozenset), _set),
)

_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=plain)


def _fault(value, path="result", depth=0):
    """The first thing in `value` that JSON cannot hold, as a sentence; None if there is none."""
    if depth > MAX_DEPTH:
        # The place would be a hundred steps long.
        return f"the result is nested deeper than {MAX_DEPTH} levels (or holds itself)"
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        return _text_fault(value, path)
    if isinstance(value, int):
        return None if value.bit_length() < 1024 else f"{path}: the integer is too large"
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{path}: {value} has no form in JSON"
    if isinstance(value, dict):
        return _dict_fault(value, path, depth)
    if isinstance(value, (list, tuple)):
        return _first(_fault(found, f"{path}[{at}]", depth + 1) for at, found in enumerate(value))
    try:
        return _fault(plain(value), path, depth + 1)
    except Exception as error:
        return f"{path}: {error}"


def _dict_fault(value, path, depth):
    for key, found in value.items():
        if not isinstance(key, (str, int, float, bool, type(None))):
            return f"{path}: the key {key!r} is not a string"
        fault = _text_fault(key, path) if isinstance(key, str) else None
        if isinstance(key, float) and not math.isfinite(key):
            fault = f"{path}: the key {key} has no form in JSON"
        fault = fault or _fault(found, f"{path}.{key}", depth + 1)
        if fault:
            return fault
    return None


def _text_fault(text, path):
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return f"{path}: the text holds a lone surrogate"
    return None


def _first(faults):
    return next((fault for fault in faults if fault), None)

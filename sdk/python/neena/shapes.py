"""What a type hint means for a task: its data type, its JSON Schema, and how a JSON value becomes it."""

import collections.abc
import datetime
import decimal
import enum
import pathlib
import types
import typing
import uuid

from . import models
from .errors import DefinitionError, InvalidArguments
from .form import Shape, json_type


def shape(hint, seen=None):
    """The shape of `hint`; a `DefinitionError` for one that JSON has no form for."""
    seen = {} if seen is None else seen
    hint = _bare(hint)
    if hint is typing.Any or hint is object or isinstance(hint, typing.TypeVar):
        return Shape("any", {}, nullable=True)
    if hint is None or hint is types.NoneType:
        return Shape("any", {"type": "null"}, _exact(types.NoneType, "null"), nullable=True)
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _union(typing.get_args(hint), seen)
    if origin is typing.Literal:
        return _choice(typing.get_args(hint), {value: value for value in typing.get_args(hint)})
    container = origin or hint
    if container in _ARRAYS:
        return _array(container, hint, seen)
    if container in _OBJECTS:
        return _object(hint, seen)
    if hint in _SCALARS:
        return _SCALARS[hint]
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _choice([member.value for member in hint], {member.value: member for member in hint})
    found = models.model(hint, shape, seen)
    if found is None:
        raise DefinitionError(f"the type {describe(hint)} has no form in JSON", kind="unsupported_hint")
    return found


def describe(hint):
    """A hint as its author wrote it."""
    return getattr(hint, "__qualname__", None) if isinstance(hint, type) else str(hint).replace("typing.", "")


def _bare(hint):
    while True:
        if typing.get_origin(hint) is typing.Annotated:
            hint = typing.get_args(hint)[0]
        elif hasattr(hint, "__supertype__"):  # NewType
            hint = hint.__supertype__
        elif type(hint).__name__ == "TypeAliasType":
            hint = hint.__value__
        elif getattr(typing.get_origin(hint), "__name__", "") in ("Required", "NotRequired", "ReadOnly"):
            hint = typing.get_args(hint)[0]
        else:
            return hint


def _mismatch(path, wanted, value):
    return InvalidArguments(f"{path}: expected {wanted}, got {json_type(value)}")


def _exact(kind, wanted):
    def convert(value, path):
        if type(value) is kind:
            return value
        raise _mismatch(path, wanted, value)

    return convert


def _integer(value, path):
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    raise _mismatch(path, "an integer", value)


def _number(value, path):
    # JSON does not tell 2 from 2.0.
    if type(value) in (int, float):
        try:
            return float(value)
        except OverflowError:
            raise InvalidArguments(f"{path}: the number is out of range") from None
    raise _mismatch(path, "a number", value)


def _parsed(parse, wanted, kinds=(str,)):
    def convert(value, path):
        if type(value) in kinds:
            try:
                return parse(value)
            except (ValueError, ArithmeticError, OverflowError):
                raise InvalidArguments(f"{path}: {value!r} is not {wanted}") from None
        raise _mismatch(path, wanted, value)

    return convert


def _zulu(parse):
    # fromisoformat knows the Z only from Python 3.11 on.
    return lambda text: parse(text[:-1] + "+00:00" if text[-1:] in ("Z", "z") else text)


def _choice(values, by_value):
    kinds = {type(value) for value in values}
    data_type = _DATA_TYPES.get(kinds.pop(), "any") if len(kinds) == 1 else "any"
    wanted = "one of " + ", ".join(repr(value) for value in values)
    if any(type(value) not in _DATA_TYPES and value is not None for value in values):
        raise DefinitionError(f"a choice must be among strings, numbers and booleans: {wanted}", kind="unsupported_hint")

    def convert(value, path):
        for known, meant in by_value.items():
            if type(known) is type(value) and known == value:
                return meant
        raise InvalidArguments(f"{path}: expected {wanted}")

    return Shape(data_type, {"enum": list(values)}, convert, nullable=None in values)


def _union(members, seen):
    shapes = [shape(member, seen) for member in members if member is not types.NoneType]
    nullable = types.NoneType in members
    if not shapes:
        return shape(None)
    if len(shapes) == 1:
        only = shapes[0]
        schema = {"anyOf": [only.schema, {"type": "null"}]} if only.schema else {}
        return Shape(only.data_type, schema, _or_none(only.convert), True, only.fields, only.item)
    data_types = {found.data_type for found in shapes}
    data_type = data_types.pop() if len(data_types) == 1 else "number" if data_types == {"integer", "number"} else "any"
    schemas = [found.schema for found in shapes] + ([{"type": "null"}] if nullable else [])

    def convert(value, path):
        faults = []
        for found in shapes:
            if found.convert is None:
                return value
            try:
                return found.convert(value, path)
            except InvalidArguments as fault:
                faults.append(str(fault))
        raise InvalidArguments("; or ".join(faults))

    return Shape(data_type, {"anyOf": schemas}, _or_none(convert) if nullable else convert, nullable)


def _or_none(convert):
    return convert and (lambda value, path: None if value is None else convert(value, path))


def _array(container, hint, seen):
    arguments = typing.get_args(hint)
    if container is tuple and arguments and arguments[-1] is not Ellipsis:
        return _tuple([shape(argument, seen) for argument in arguments if argument != ()])
    item = shape(arguments[0], seen) if arguments else Shape("any", {})
    make, inner = _ARRAYS[container], item.convert

    def convert(value, path):
        if type(value) is not list:
            raise _mismatch(path, "an array", value)
        if inner is not None:
            value = [inner(found, f"{path}[{at}]") for at, found in enumerate(value)]
        try:
            return value if make is list else make(value)
        except TypeError:
            raise InvalidArguments(f"{path}: its items cannot be in a set") from None

    schema = {"type": "array", "items": item.schema} if item.schema else {"type": "array"}
    return Shape("array", schema, convert, item=item)


def _tuple(items):
    def convert(value, path):
        if type(value) is not list:
            raise _mismatch(path, "an array", value)
        if len(value) != len(items):
            raise InvalidArguments(f"{path}: expected {len(items)} items, got {len(value)}")
        return tuple(
            found if item.convert is None else item.convert(found, f"{path}[{at}]")
            for at, (item, found) in enumerate(zip(items, value))
        )

    schema = {"type": "array", "prefixItems": [item.schema for item in items], "minItems": len(items), "maxItems": len(items)}
    return Shape("array", schema, convert)


def _object(hint, seen):
    arguments = typing.get_args(hint)
    if arguments and _bare(arguments[0]) not in (str, typing.Any):
        raise DefinitionError(f"the keys of {describe(hint)} must be strings, as in JSON", kind="unsupported_hint")
    value_shape = shape(arguments[1], seen) if len(arguments) == 2 else Shape("any", {})
    inner = value_shape.convert

    def convert(value, path):
        if type(value) is not dict:
            raise _mismatch(path, "an object", value)
        return value if inner is None else {key: inner(found, f"{path}.{key}") for key, found in value.items()}

    schema = {"type": "object", "additionalProperties": value_shape.schema} if value_shape.schema else {"type": "object"}
    return Shape("object", schema, convert)


_DATA_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}
_ARRAYS = {
    list: list, tuple: tuple, set: set, frozenset: frozenset,
    collections.abc.Sequence: list, collections.abc.MutableSequence: list,
    collections.abc.Iterable: list, collections.abc.Collection: list,
    collections.abc.Set: set,
}  # fmt: skip
_OBJECTS = {dict, collections.abc.Mapping, collections.abc.MutableMapping}
_SCALARS = {
    str: Shape("string", {"type": "string"}, _exact(str, "a string")),
    int: Shape("integer", {"type": "integer"}, _integer),
    float: Shape("number", {"type": "number"}, _number),
    bool: Shape("boolean", {"type": "boolean"}, _exact(bool, "a boolean")),
    datetime.datetime: Shape(
        "string", {"type": "string", "format": "date-time"}, _parsed(_zulu(datetime.datetime.fromisoformat), "a date and time")
    ),
    datetime.date: Shape("string", {"type": "string", "format": "date"}, _parsed(datetime.date.fromisoformat, "a date")),
    datetime.time: Shape("string", {"type": "string", "format": "time"}, _parsed(_zulu(datetime.time.fromisoformat), "a time")),
    datetime.timedelta: Shape(
        "number", {"type": "number", "description": "seconds"},
        _parsed(lambda seconds: datetime.timedelta(seconds=seconds), "a number of seconds", (int, float)),
    ),
    uuid.UUID: Shape("string", {"type": "string", "format": "uuid"}, _parsed(uuid.UUID, "a UUID")),
    decimal.Decimal: Shape(
        "string", {"type": ["string", "number"]}, _parsed(lambda value: decimal.Decimal(str(value)), "a decimal number", (str, int, float))
    ),
    pathlib.Path: Shape("string", {"type": "string"}, _parsed(pathlib.Path, "a path")),
    pathlib.PurePath: Shape("string", {"type": "string"}, _parsed(pathlib.PurePath, "a path")),
}  # fmt: skip

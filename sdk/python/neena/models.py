"""Objects with named fields as type hints: dataclasses, TypedDicts and, where it is there, pydantic."""

import dataclasses
import typing

from . import docstrings
from .errors import DefinitionError, InvalidArguments
from .form import Field, Shape, json_type


def model(hint, shape, seen):
    """The shape of a model class; None if `hint` is none. `shape` makes those of its fields.

    `seen` holds the models being looked at, so that one which holds itself comes to an end.
    """
    if not isinstance(hint, type):
        return None
    if hint in seen:
        return _again(hint, seen)
    make = _pydantic if _is_pydantic(hint) else _dataclass if dataclasses.is_dataclass(hint) else None
    if make is None:
        make = _typed_dict if typing.is_typeddict(hint) else None
    if make is None:
        return None
    seen[hint] = None
    seen[hint] = make(hint, shape, seen)
    return seen[hint]


def is_pydantic(value):
    """Whether a value is an instance of a pydantic model."""
    return _is_pydantic(type(value))


def _is_pydantic(cls):
    return callable(getattr(cls, "model_validate", None)) and callable(getattr(cls, "model_json_schema", None))


def _again(hint, seen):
    if seen[hint] is not None:
        return seen[hint]

    def convert(value, path):
        return seen[hint].convert(value, path)

    return Shape("object", {"type": "object", "title": hint.__name__}, convert)


def _hints(cls):
    try:
        return typing.get_type_hints(cls)
    except Exception as error:
        raise DefinitionError(f"a type hint of {cls.__name__} cannot be resolved: {error}", kind="unsupported_hint") from error


def _schema(cls, fields):
    properties = {}
    for field in fields:
        properties[field.name] = dict(field.shape.schema, **({"description": field.doc} if field.doc else {}))
    schema = {"type": "object", "title": cls.__name__, "properties": properties}
    required = [field.name for field in fields if not field.optional]
    return dict(schema, required=required) if required else schema


def _given(value, path, fields, cls):
    if type(value) is not dict:
        raise InvalidArguments(f"{path}: expected an object ({cls.__name__}), got {json_type(value)}")
    known = {field.name: field for field in fields}
    for field in fields:
        if not field.optional and field.name not in value:
            raise InvalidArguments(f"{path}.{field.name}: missing")
    return {
        name: found if name not in known or known[name].shape.convert is None else known[name].shape.convert(found, f"{path}.{name}")
        for name, found in value.items()
    }


def _dataclass(cls, shape, seen):
    hints, docs = _hints(cls), docstrings.parse(cls.__doc__).parameters
    own = [field for field in dataclasses.fields(cls) if field.init]
    fields = [
        Field(field.name, shape(hints[field.name], seen), docs.get(field.name), not _required(field)) for field in own
    ]
    names = {field.name for field in fields}

    def convert(value, path):
        given = _given(value, path, fields, cls)
        unknown = sorted(set(given) - names)
        if unknown:
            raise InvalidArguments(f"{path}.{unknown[0]}: {cls.__name__} has no such field")
        try:
            return cls(**given)
        except (TypeError, ValueError) as error:
            raise InvalidArguments(f"{path}: {error}") from error

    return Shape("object", _schema(cls, fields), convert, fields=fields)


def _required(field):
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _typed_dict(cls, shape, seen):
    hints, docs = _hints(cls), docstrings.parse(cls.__doc__).parameters
    fields = [Field(name, shape(hint, seen), docs.get(name), name not in cls.__required_keys__) for name, hint in hints.items()]
    return Shape("object", _schema(cls, fields), lambda value, path: _given(value, path, fields, cls), fields=fields)


def _pydantic(cls, shape, seen):
    fields = [
        Field(name, _loosely(found.annotation, shape, seen), found.description, not found.is_required())
        for name, found in cls.model_fields.items()
    ]
    try:
        schema = cls.model_json_schema()
    except Exception as error:
        raise DefinitionError(f"{cls.__name__} has no JSON Schema: {error}", kind="unsupported_hint") from error

    def convert(value, path):
        try:
            return cls.model_validate(value)
        except ValueError as error:
            raise InvalidArguments(_pydantic_faults(error, path)) from error

    return Shape("object", schema, convert, fields=fields)


def _loosely(hint, shape, seen):
    # pydantic knows more types than we do; whatever they are, it converts them.
    try:
        return shape(hint, seen)
    except DefinitionError:
        return Shape("any", {})


def _pydantic_faults(error, path):
    errors = getattr(error, "errors", None)
    if not callable(errors):
        return f"{path}: {error}"
    found = errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(".".join([path, *map(str, fault["loc"])]) + f": {fault['msg']}" for fault in found[:10])

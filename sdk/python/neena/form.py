"""The words in which hints are understood: the shape of a value, and the field of a model."""

import types


class Shape:
    """One hint, understood.

    `convert(value, path)` makes a parsed JSON value into what the hint says, or raises
    `InvalidArguments`; None where the value passes as it is. `fields` are a model's, `item` is the
    shape of a list's items.
    """

    __slots__ = ("data_type", "schema", "convert", "nullable", "fields", "item")

    def __init__(self, data_type, schema, convert=None, nullable=False, fields=None, item=None):
        self.data_type = data_type
        self.schema = schema
        self.convert = convert
        self.nullable = nullable
        self.fields = fields
        self.item = item


class Field:
    """One field of a model: its name, shape, what it means, and whether it may be left out."""

    __slots__ = ("name", "shape", "doc", "optional")

    def __init__(self, name, shape, doc, optional):
        self.name = name
        self.shape = shape
        self.doc = doc
        self.optional = optional


_WORDS = {
    str: "a string", int: "an integer", float: "a number", bool: "a boolean",
    dict: "an object", list: "an array", types.NoneType: "null",
}  # fmt: skip


def json_type(value):
    """A parsed JSON value's type, in words."""
    return _WORDS.get(type(value), type(value).__name__)

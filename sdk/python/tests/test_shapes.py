"""Hints as data types, schemas and conversions."""

import dataclasses
import datetime
import decimal
import enum
import pathlib
import typing
import unittest
import uuid

import sdk_path  # noqa: F401

from neena.errors import DefinitionError, InvalidArguments
from neena.shapes import shape

try:
    import pydantic
except ImportError:
    pydantic = None


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Point:
    """A place.

    Attributes:
        x: to the right
    """

    x: float
    y: float = 0.0
    label: typing.Optional[str] = None
    derived: int = dataclasses.field(init=False, default=7)


@dataclasses.dataclass
class Tree:
    name: str
    children: "list[Tree]" = dataclasses.field(default_factory=list)


class Row(typing.TypedDict, total=False):
    when: datetime.date
    points: list[Point]


UserId = typing.NewType("UserId", str)


class DataTypes(unittest.TestCase):
    def test_every_hint_has_a_data_type(self):
        for hint, data_type in (
            (str, "string"), (int, "integer"), (float, "number"), (bool, "boolean"),
            (dict, "object"), (dict[str, int], "object"), (typing.Mapping[str, typing.Any], "object"),
            (list, "array"), (list[int], "array"), (tuple[int, str], "array"), (tuple[int, ...], "array"),
            (set[str], "array"), (typing.Sequence[str], "array"), (typing.Any, "any"), (object, "any"), (None, "any"),
            (typing.Optional[int], "integer"), (int | None, "integer"), (int | float, "number"), (int | str, "any"),
            (typing.Literal["a", "b"], "string"), (typing.Literal[1, "b"], "any"), (Color, "string"),
            (Point, "object"), (Row, "object"), (Tree, "object"),
            (datetime.datetime, "string"), (uuid.UUID, "string"), (pathlib.Path, "string"), (decimal.Decimal, "string"),
            (typing.Annotated[int, "positive"], "integer"), (UserId, "string"), (typing.TypeVar("T"), "any"),
        ):  # fmt: skip
            with self.subTest(hint):
                self.assertEqual(shape(hint).data_type, data_type)

    def test_what_json_has_no_form_for_is_refused(self):
        for hint in (bytes, complex, typing.Callable, type, range, dict[int, str], list[bytes], typing.Generator):
            with self.subTest(hint):
                with self.assertRaises(DefinitionError) as caught:
                    shape(hint)
                self.assertEqual(caught.exception.kind, "unsupported_hint")

    def test_a_schema_says_what_is_required(self):
        self.assertEqual(
            shape(Point).schema,
            {
                "type": "object",
                "title": "Point",
                "properties": {
                    "x": {"type": "number", "description": "to the right"},
                    "y": {"type": "number"},
                    "label": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                },
                "required": ["x"],
            },
        )


class Conversions(unittest.TestCase):
    def converted(self, hint, value):
        convert = shape(hint).convert
        return value if convert is None else convert(value, "it")

    def test_values_become_what_the_hint_says(self):
        for hint, value, expected in (
            (int, 2.0, 2), (float, 2, 2.0), (str, "x", "x"), (bool, True, True), (typing.Any, {"a": [1]}, {"a": [1]}),
            (tuple[int, str], [1, "a"], (1, "a")), (set[int], [1, 1, 2], {1, 2}), (list[float], [1], [1.0]),
            (typing.Optional[int], None, None), (int | str, "a", "a"), (Color, "red", Color.RED),
            (datetime.datetime, "2026-01-02T03:04:05Z", datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)),
            (datetime.date, "2026-01-02", datetime.date(2026, 1, 2)), (datetime.timedelta, 1.5, datetime.timedelta(seconds=1.5)),
            (uuid.UUID, "00000000-0000-0000-0000-000000000001", uuid.UUID(int=1)), (pathlib.Path, "/a", pathlib.Path("/a")),
            (decimal.Decimal, "1.10", decimal.Decimal("1.10")), (decimal.Decimal, 0.1, decimal.Decimal("0.1")),
            (Point, {"x": 1, "label": None}, Point(1.0)), (dict[str, Point], {"a": {"x": 1}}, {"a": Point(1.0)}),
            (Row, {"points": [{"x": 1}], "more": 1}, {"points": [Point(1.0)], "more": 1}),
            (Tree, {"name": "a", "children": [{"name": "b"}]}, Tree("a", [Tree("b")])),
        ):  # fmt: skip
            with self.subTest(hint=hint, value=value):
                found = self.converted(hint, value)
                self.assertEqual(found, expected)
                self.assertIs(type(found), type(expected))

    def test_a_mismatch_names_the_place(self):
        for hint, value, message in (
            (int, "1", "it: expected an integer, got a string"),
            (int, True, "it: expected an integer, got a boolean"),
            (int, 1.5, "it: expected an integer, got a number"),
            (str, None, "it: expected a string, got null"),
            (bool, 1, "it: expected a boolean, got an integer"),
            (list[int], [1, "x"], "it[1]: expected an integer, got a string"),
            (tuple[int, str], [1], "it: expected 2 items, got 1"),
            (set[dict], [{}], "it: its items cannot be in a set"),
            (Color, "green", "it: expected one of 'red', 'blue'"),
            (typing.Literal[1], True, "it: expected one of 1"),
            (datetime.date, "tomorrow", "it: 'tomorrow' is not a date"),
            (decimal.Decimal, "x", "it: 'x' is not a decimal number"),
            (Point, {}, "it.x: missing"),
            (Point, {"x": 1, "derived": 1}, "it.derived: Point has no such field"),
            (Point, [1, 2], "it: expected an object (Point), got an array"),
            (Tree, {"name": "a", "children": [{"name": 1}]}, "it.children[0].name: expected a string, got an integer"),
            (int | str, [], "it: expected an integer, got an array; or it: expected a string, got an array"),
            (float, 10**400, "it: the number is out of range"),
        ):  # fmt: skip
            with self.subTest(hint=hint, value=value):
                with self.assertRaises(InvalidArguments) as caught:
                    self.converted(hint, value)
                self.assertEqual(str(caught.exception), message)

    @unittest.skipIf(pydantic is None, "pydantic is not installed")
    def test_pydantic_models_validate_themselves(self):
        class Order(pydantic.BaseModel):
            number: int = pydantic.Field(description="which one")
            note: str | None = None

        found = shape(Order)
        self.assertEqual([(f.name, f.shape.data_type, f.doc, f.optional) for f in found.fields],
                         [("number", "integer", "which one", False), ("note", "string", None, True)])  # fmt: skip
        self.assertEqual(found.convert({"number": "7"}, "order"), Order(number=7))
        with self.assertRaises(InvalidArguments) as caught:
            found.convert({"number": "x"}, "order")
        self.assertTrue(str(caught.exception).startswith("order.number: "))


if __name__ == "__main__":
    unittest.main()

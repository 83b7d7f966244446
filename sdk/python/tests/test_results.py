"""Results as JSON, and what is said of those that are none."""

import dataclasses
import datetime
import decimal
import enum
import json
import math
import pathlib
import unittest
import uuid

import sdk_path  # noqa: F401

from neena.errors import ResultNotJson
from neena.results import encode


@dataclasses.dataclass
class Leaf:
    value: object


class Level(enum.IntEnum):
    LOW = 1


class Results(unittest.TestCase):
    def test_plain_values_keep_their_form(self):
        for value in (None, True, 0, -1, 1.5, 2**70, "é\u2028\x00\"", [], {}, {"a": [{"b": None}]}):
            self.assertEqual(json.loads(encode(value)), value)
        self.assertEqual(encode({"a": "é"}), '{"a":"é"}'.encode())

    def test_known_types_are_written_sensibly(self):
        utc = datetime.timezone.utc
        for value, expected in (
            ((1, "a"), [1, "a"]),
            ({3, 1, 2}, [1, 2, 3]),
            (frozenset(["a"]), ["a"]),
            (datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=utc), "2026-01-02T03:04:05+00:00"),
            (datetime.date(2026, 1, 2), "2026-01-02"),
            (datetime.timedelta(minutes=1.5), 90.0),
            (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
            (decimal.Decimal("1.10"), "1.10"),
            (pathlib.Path("/a/b"), "/a/b"),
            (Level.LOW, 1),
            (Leaf([Leaf(decimal.Decimal(1))]), {"value": [{"value": "1"}]}),
        ):
            with self.subTest(value):
                self.assertEqual(json.loads(encode(value)), expected)

    def test_what_does_not_fit_is_named_with_its_place(self):
        class Hostile:
            def __repr__(self):
                raise ValueError

        loop = []
        loop.append(loop)
        for value, message in (
            (math.nan, "result: nan has no form in JSON"),
            ({"a": [0, {"b": -math.inf}]}, "result.a[1].b: -inf has no form in JSON"),
            ({"a": Leaf(math.nan)}, "result.a.value: nan has no form in JSON"),
            ({"a": {math.nan}}, "result.a[0]: nan has no form in JSON"),
            ({math.nan: 1}, "result: the key nan has no form in JSON"),
            ([b"x"], "result[0]: a bytes has no form in JSON"),
            ({(1,): 2}, "result: the key (1,) is not a string"),
            ({"a": "\ud800"}, "result.a: the text holds a lone surrogate"),
            ({"\ud800": 1}, "result: the text holds a lone surrogate"),
            ((x for x in ()), "result: a generator has no form in JSON"),
            (Hostile(), "result: a Hostile has no form in JSON"),
            (loop, "the result is nested deeper than 100 levels (or holds itself)"),
        ):
            with self.subTest(message):
                with self.assertRaises(ResultNotJson) as caught:
                    encode(value)
                self.assertEqual(str(caught.exception), message)


if __name__ == "__main__":
    unittest.main()

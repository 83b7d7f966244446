"""The comparison and the reading of documents: `python3 -m unittest discover scripts`."""

import unittest

from doc_samples.compare import faults
from doc_samples.markdown import samples

DOCUMENT = """# One

```shell
curl "https://your_api_base_url/api/endpoint"
```

## Two

```shell
curl -X GET "https://your_api_base_url/api/v1/things"
```

```python
# The same in Python.
```

```ruby
puts 1
```

> It prints

```json
{"list": [...], "n": 1}
```

## Three

```javascript
console.log(1)
```

# Four

```json
{"of": "nobody"}
```
"""


class Reading(unittest.TestCase):
    def test_samples_are_found_with_the_answer_after_them(self):
        found = [(sample.section, sample.language, sample.answer) for sample in samples(DOCUMENT)]
        answer = {"list": [], "n": 1}
        self.assertEqual(found, [("Two", "shell", answer), ("Two", "ruby", answer), ("Three", "javascript", None)])


class Comparing(unittest.TestCase):
    def test_more_than_is_documented_is_welcome(self):
        self.assertEqual(faults({"a": 1, "b": [{"c": "x"}]}, {"a": 2.5, "b": [{"c": "y", "d": 0}], "e": None}), [])

    def test_what_is_missing_or_of_another_type_is_told_with_its_place(self):
        for documented, got, told in [
            ({"a": 1}, {}, "answer.a is missing"),
            ({"a": 1}, {"a": True}, "answer.a: documented as a number"),
            ({"a": "x"}, {"a": None}, "answer.a: documented as a text"),
            ({"a": None}, {"a": "x"}, "answer.a: documented as null"),
            ([{"a": 1}], [], "answer is empty"),
            ([{"a": 1}], [{"a": 1}, {"a": "x"}], "answer[1].a"),
            ({"a": {}}, {"a": []}, "answer.a: documented as an object"),
            ("uuid-of-flow", "7", "documented as a UUID"),
            ("2023-10-15T12:34:56.789Z", "2023-10-15T12:34:56.789Z", "documented as a time"),
        ]:
            found = faults(documented, got)
            self.assertEqual(len(found), 1, (documented, got, found))
            self.assertIn(told, found[0])

    def test_only_the_first_of_a_list_is_as_full_as_the_documented_one(self):
        self.assertEqual(faults([{"a": "x", "b": [1]}], [{"a": "y", "b": [2]}, {"a": None, "b": []}]), [])
        self.assertEqual(len(faults([{"a": "x"}], [{"a": None}])), 1)


if __name__ == "__main__":
    unittest.main()

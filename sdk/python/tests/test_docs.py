"""Docstrings in three styles, and YAML that is the same every time."""

import unittest

import sdk_path  # noqa: F401

from neena import docstrings, yml

GOOGLE = """Reads commits
    of a repository.

    More about it.

    Args:
        path (str): Where
            it is.
        limit: How many: at most.

    Returns:
        The commits.

    Raises:
        ValueError: never
    """

NUMPY = """Reads commits
    of a repository.

    Parameters
    ----------
    path : str
        Where it is.
    limit : int, optional
        How many: at most.

    Returns
    -------
    list of str
        The commits.
    """

SPHINX = """
    Reads commits
    of a repository.

    :param str path: Where
        it is.
    :param limit: How many: at most.
    :type limit: int
    :returns: The commits.
    """


class Docstrings(unittest.TestCase):
    def test_the_three_styles_say_the_same(self):
        for name, text in (("google", GOOGLE), ("numpy", NUMPY), ("sphinx", SPHINX)):
            with self.subTest(name):
                doc = docstrings.parse(text)
                self.assertEqual(doc.description, "Reads commits of a repository.")
                self.assertEqual(doc.parameters, {"path": "Where it is.", "limit": "How many: at most."})
                self.assertEqual(doc.returns, "The commits.")

    def test_nothing_is_made_of_nothing(self):
        for text in (None, "", "\n\n", "Args:\n", ":param x"):
            doc = docstrings.parse(text)
            self.assertEqual((doc.parameters, doc.returns), ({}, None), text)


class Yaml(unittest.TestCase):
    def test_nested_data(self):
        value = {"type": "object", "properties": {"a b": {"enum": ["x", 1, None, True]}}, "empty": {}, "list": [[1], {"k": "v"}]}
        self.assertEqual(
            yml.dump(value),
            'type: object\nproperties:\n  a b:\n    enum:\n      - x\n      - 1\n      - null\n      - true\n'
            "empty: {}\nlist:\n  - - 1\n  - k: v\n",
        )

    def test_strings_that_yaml_would_take_for_something_else_are_quoted(self):
        for text in ("null", "Yes", "no", "on", "~", "1", "1.5", "-", "- a", "a: b", "a #b", "", " a", "a ", "é", "[a]", "{a}", "*a",
                     "&a", "!a", "%a", "@a", "`a", "'a'", '"', "a\nb", "2026-01-02", "0x1", ".inf", "=", "<<", "a:"):  # fmt: skip
            self.assertTrue(yml.dump({"k": text}).startswith('k: "'), text)
        for text in ("object", "date-time", "Where it is.", "a/b", "$ref"):
            self.assertEqual(yml.dump({"k": text}), f"k: {text}\n")


if __name__ == "__main__":
    unittest.main()

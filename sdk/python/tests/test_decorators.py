"""The decorators accept what can be called and refuse everything else, with a place."""

import unittest

import sdk_path  # noqa: F401

from neena import DefinitionError, integration, task
from neena.decorators import registered, words


class Decorators(unittest.TestCase):
    def refused(self, make, *words_in_it):
        with self.assertRaises(DefinitionError) as caught:
            make()
        for word in words_in_it:
            self.assertIn(word, str(caught.exception))
        return caught.exception

    def integration(self, members, **options):
        options = {"name": "Probe", "short_name": "probe", **options}
        return integration(**options)(type("Probe", (), members))

    def test_a_name_is_made_of_the_method(self):
        for method, name in {
            "read_commits": "Read commits",
            "readCommits": "Read commits",
            "count__HTTP_errors": "Count HTTP errors",
            "x2_y": "X2 y",
        }.items():
            self.assertEqual(words(method), name)

    def test_only_methods_decorated_in_the_class_itself_are_tasks(self):
        class Base:
            @task
            def inherited_task(self):
                pass

            def overridden(self):
                pass

        @integration(name="Probe", short_name="probe")
        class Probe(Base):
            @task(name="Own task", pure=True, repeatable=False)
            async def own(self):
                pass

            def helper(self):
                pass

        (found,) = registered[-1].tasks
        self.assertEqual((found.method, found.name, found.pure, found.repeatable), ("own", "Own task", True, False))

    def test_a_class_without_tasks_is_refused(self):
        self.refused(lambda: self.integration({"helper": lambda self: None}), "Probe", "no method decorated")

    def test_task_names_have_six_to_sixty_four_characters(self):
        for name in ("abcde", "x" * 65):
            with self.subTest(name):
                self.refused(lambda: self.integration({"run": task(name=name)(lambda self: None)}), "6 to 64")
        for name in ("abcdef", "x" * 64):
            self.integration({"run": task(name=name)(lambda self: None)})
        error = self.refused(lambda: self.integration({"get": task(lambda self: None)}), "'Get'", "@task(name=")
        self.assertEqual(error.path, __file__)
        self.assertGreater(error.line, 0)

    def test_names_that_are_not_plain_are_refused(self):
        for method in ("_private", "__init__", "__reduce__", "a.b", "os.system", "g\u043e\u043ed_task", "x" * 65, "1st", ""):
            with self.subTest(method):
                self.refused(lambda: self.integration({method: task(name="Some task")(lambda self: None)}), "method name")

    def test_what_is_not_a_plain_method_is_refused(self):
        for wrong in (staticmethod(len), classmethod(len), property(len), int, 7):
            with self.subTest(repr(wrong)):
                self.refused(lambda: task(wrong), "plain method")
        self.refused(lambda: self.integration({"run": staticmethod(task(name="Some task")(lambda: 1))}), "plain method")
        self.refused(lambda: task("A name"), "keyword")
        self.refused(lambda: task(pure=1)(len), "pure")

    def test_the_integration_itself_is_checked(self):
        members = {"some_task": task(lambda self: None)}
        for options, word in (
            ({"name": ""}, "name"),
            ({"name": "x" * 65}, "name"),
            ({"short_name": "Git"}, "short_name"),
            ({"short_name": "g\u0456t"}, "short_name"),
            ({"short_name": "a-b"}, "short_name"),
            ({"short_name": "core"}, "core"),
            ({"auth_type": "magic"}, "auth_type"),
        ):
            with self.subTest(options):
                self.refused(lambda: self.integration(members, **options), word)
        self.refused(lambda: integration(name="A", short_name="a")(len), "class")

    def test_two_tasks_of_one_name_are_refused(self):
        members = {"one_task": task(name="Same name")(lambda self: 1), "two_task": task(name="Same name")(lambda self: 2)}
        self.refused(lambda: self.integration(members), "Same name")


if __name__ == "__main__":
    unittest.main()

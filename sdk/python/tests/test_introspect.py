"""Introspection as it is used: a process, its manifest, its errors; and digests of what was loaded."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import textwrap
import unittest

from sdk_path import SDK

GOOD = """
from neena import integration, task

@integration(name="Good one", short_name="good")
class Good:
    @task
    def do_it_well(self, text: str) -> str:
        "Does it."
        return text
"""


class Introspecting(unittest.TestCase):
    """A folder to write integrations in, and what introspection says of them."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def introspect(self, *paths):
        environment = dict(os.environ, PYTHONPATH=str(SDK))
        command = [sys.executable, "-m", "neena.introspect", *map(str, paths)]
        done = subprocess.run(command, capture_output=True, env=environment, cwd=SDK)
        answer = json.loads(done.stdout)
        self.assertEqual(done.returncode, 1 if "errors" in answer else 0, done.stderr)
        return answer

    def found(self, *paths):
        answer = self.introspect(*paths)
        self.assertNotIn("errors", answer)
        return answer["integrations"]

    def errors(self, *paths):
        return [
            (os.path.basename(error["path"]), error["line"], error["kind"], error["message"])
            for error in self.introspect(*paths)["errors"]
        ]

    def digest(self, path):
        (entry,) = self.found(path)
        return entry["code_digest"]


class Manifests(Introspecting):
    def test_a_manifest_says_everything_of_a_task(self):
        path = self.write(
            "git.py",
            '''
            from __future__ import annotations
            import dataclasses
            from neena import integration, task

            @dataclasses.dataclass
            class Commit:
                """A commit.

                Attributes:
                    sha: its hash
                """
                sha: str
                size: int = 0

            @integration(name="Git", short_name="git", auth_type="basic")
            class Git:
                @task(pure=True)
                def read_commits(self, path: str, *, limit: int = 10, author: str | None) -> list[Commit]:
                    """Reads
                    commits.

                    Args:
                        path: Where.
                    """

                @task(name="Count things", repeatable=False)
                async def count(self, things) -> int:
                    """:returns: how many"""
            ''',
        )
        (entry,) = self.found(path)
        tasks = entry.pop("tasks")
        self.assertRegex(entry.pop("code_digest"), r"\A[0-9a-f]{64}\Z")
        self.assertEqual(
            entry, {"class_name": "Git", "name": "Git", "short_name": "git", "auth_type": "basic", "path": str(path)}
        )
        self.assertEqual(
            tasks[0],
            {
                "task_name": "Read commits",
                "python_method_name": "read_commits",
                "description": "Reads commits.",
                "parameters": [
                    {"name": "path", "data_type": "string", "position": 1, "doc_string": "Where.", "optional": False},
                    {"name": "limit", "data_type": "integer", "position": 2, "doc_string": None, "optional": True},
                    {"name": "author", "data_type": "string", "position": 3, "doc_string": None, "optional": True},
                ],
                "input_type": "JSON",
                "input_yml": "type: object\nproperties:\n  path:\n    type: string\n    description: Where.\n"
                "  limit:\n    type: integer\n    default: 10\n  author:\n    anyOf:\n      - type: string\n"
                '      - type: "null"\nrequired:\n  - path\nadditionalProperties: false\n',
                "output_type": "JSON",
                "output_yml": "type: array\nitems:\n  type: object\n  title: Commit\n  properties:\n    sha:\n"
                "      type: string\n      description: its hash\n    size:\n      type: integer\n  required:\n    - sha\n",
                "output_parameters": [
                    {"name": "sha", "data_type": "string", "position": 1, "doc_string": "its hash", "optional": False},
                    {"name": "size", "data_type": "integer", "position": 2, "doc_string": None, "optional": True},
                ],
                "output_is_list": True,
                "pure": True,
                "repeatable": True,
            },
        )
        self.assertEqual(tasks[1]["task_name"], "Count things")
        self.assertEqual(tasks[1]["repeatable"], False)
        self.assertEqual(
            tasks[1]["output_parameters"],
            [{"name": "result", "data_type": "integer", "position": 1, "doc_string": "how many", "optional": False}],
        )

    def test_prints_at_import_do_not_reach_the_manifest(self):
        noise = "import os, subprocess, sys\nprint('{}')\nos.write(1, b'noise')\nsubprocess.run(['echo', 'noise'])\n"
        self.assertEqual(len(self.found(self.write("noisy.py", noise + GOOD))), 1)

    def test_every_mistake_has_its_place(self):
        for name, text, kind, line, word in (
            ("syntax.py", "x = 1\ndef f(:\n", "syntax", 2, "syntax error"),
            ("missing.py", "import neena\nimport no_such_module\n", "import", 2, "no_such_module"),
            ("raises.py", "import neena\ndef f():\n    raise ValueError('no')\nf()\n", "import", 3, "ValueError: no"),
            ("exits.py", "import sys\nsys.exit(1)\n", "import", 2, "SystemExit"),
            ("empty.py", "x = 1\n", "nothing_found", None, "@integration"),
            ("json.py", GOOD, "definition", None, "rename"),
            ("bad-name.py", GOOD, "definition", None, "rename"),
            ("no_tasks.py", GOOD.replace("@task", ""), "definition", None, "no method decorated"),
            ("short.py", GOOD.replace("do_it_well", "do"), "definition", 6, "6 to 64"),
            ("private.py", GOOD.replace("do_it_well", "_do_it_well"), "definition", 6, "method name"),
            ("lookalike.py", GOOD.replace("do_it_well", "d\u043e_it_well"), "definition", 6, "ASCII"),
            ("hint.py", GOOD.replace("text: str", "text: bytes"), "unsupported_hint", 6, "parameter text"),
            ("result.py", GOOD.replace("-> str", "-> complex"), "unsupported_hint", 6, "the result"),
            ("unknown.py", GOOD.replace("text: str", "text: 'Nope'"), "unsupported_hint", 6, "Nope"),
            ("star.py", GOOD.replace("text: str", "*text: str"), "definition", 6, "by name"),
            ("no_self.py", GOOD.replace("self, text: str", ""), "definition", 6, "self"),
            ("needy.py", GOOD.replace("    @task", "    def __init__(self, url): pass\n    @task"), "definition", None, "without arguments"),
        ):  # fmt: skip
            with self.subTest(name):
                ((found_name, found_line, found_kind, message),) = self.errors(self.write(name, text))
                self.assertEqual((found_name, found_kind), (name, kind), message)
                self.assertIn(word, message)
                if line is not None:
                    self.assertEqual(found_line, line, message)

    def test_a_process_that_ends_while_importing_is_told(self):
        ((_, _, kind, message),) = self.errors(self.write("dies.py", "import os\nos._exit(4)\n"))
        self.assertEqual((kind, message), ("import", "importing it ended the process (exit code 4)"))

    def test_a_path_that_is_not_there_is_told(self):
        self.assertEqual(self.errors(self.folder / "nowhere")[0][2], "not_found")
        self.assertEqual(self.errors(self.write("text.txt", ""))[0][2], "not_found")

    def test_one_short_name_in_two_places_is_refused(self):
        self.write("one.py", GOOD)
        self.write("two.py", GOOD)
        ((name, _, kind, message),) = self.errors(self.folder)
        self.assertEqual((name, kind), ("two.py", "duplicate_short_name"))
        self.assertIn("one.py", message)

    def test_a_folder_stands_for_the_files_and_packages_in_it(self):
        self.write("good.py", GOOD)
        self.write("helper.py", "raise SystemExit('not ours')\n")
        self.write("test_good.py", "raise SystemExit('neena')\n")
        self.write("_hidden.py", "raise SystemExit('neena')\n")
        self.write("data/notes.py", "raise SystemExit('neena')\n")
        self.write("pack/__init__.py", "from .inner import Inner\n")
        self.write("pack/inner.py", GOOD.replace("good", "inner").replace("Good", "Inner"))
        self.assertEqual([entry["short_name"] for entry in self.found(self.folder)], ["good", "inner"])

    def test_an_integration_imported_from_beside_is_not_this_files_own(self):
        self.write("good.py", GOOD)
        other = self.write("other.py", "import good\n" + GOOD.replace("good", "other").replace("Good", "Other"))
        self.assertEqual([entry["short_name"] for entry in self.found(other)], ["other"])

    def test_units_do_not_see_each_others_modules(self):
        for name in ("a", "b"):
            self.write(f"{name}/helper.py", f"NAME = {name!r}\n")
            text = GOOD.replace("good", name) + f"\nimport helper\nassert helper.NAME == {name!r}\n"
            self.write(f"{name}/unit_{name}.py", text)
        together = self.found(self.folder / "a/unit_a.py", self.folder / "b/unit_b.py")
        apart = [self.digest(self.folder / f"{name}/unit_{name}.py") for name in "ab"]
        self.assertEqual([entry["code_digest"] for entry in together], apart)


class Digests(Introspecting):
    def test_it_is_the_same_wherever_the_files_lie(self):
        one, two = self.write("a/good.py", GOOD), self.write("b/c/good.py", GOOD)
        self.assertEqual(self.digest(one), self.digest(two))

    def test_it_follows_every_source_that_is_loaded_and_nothing_else(self):
        text = GOOD + "\nimport helper\n        \ndef late():\n    from pack import lazy\n"
        path = self.write("good.py", text)
        self.write("helper.py", "import deeper\n")
        self.write("deeper.py", "x = 1\n")
        self.write("pack/__init__.py", "")
        self.write("pack/lazy.py", "from . import lazier\n")
        self.write("pack/lazier.py", "")
        self.write("stranger.py", "")
        self.write("requirements.txt", "requests==1\n")
        seen = {self.digest(path)}
        for name in ("good.py", "helper.py", "deeper.py", "pack/__init__.py", "pack/lazy.py", "pack/lazier.py", "requirements.txt"):
            with self.subTest(name):
                (self.folder / name).write_text((self.folder / name).read_text() + "# changed\n")
                digest = self.digest(path)
                self.assertNotIn(digest, seen)
                seen.add(digest)
        for name in ("stranger.py", "notes.txt"):
            self.write(name, "# changed\n")
            self.assertIn(self.digest(path), seen)

    def test_it_is_of_the_bytes_that_were_compiled(self):
        # The file changes itself while it is imported: what counts is what was compiled.
        changing = GOOD + "\nopen(__file__, 'a').write('# changed\\n')\n"
        path = self.write("good.py", changing)
        first = self.digest(path)
        self.assertNotEqual(path.read_text(), changing)
        second = self.digest(path)
        self.assertNotEqual(first, second)
        path.write_text(changing)
        self.assertEqual(self.digest(path), first)

    def test_stale_bytecode_is_not_used(self):
        path = self.write("good.py", GOOD + "\nimport helper\nassert helper.x == 2\n")
        helper = self.write("helper.py", "x = 1\n")
        stamp = helper.stat().st_mtime
        subprocess.run([sys.executable, "-m", "py_compile", str(helper)], check=True)
        helper.write_text("x = 2\n")
        os.utime(helper, (stamp, stamp))
        self.found(path)

    def test_a_package_is_digested_whole(self):
        self.write("pack/__init__.py", "from .inner import Good\n")
        inner = self.write("pack/inner.py", GOOD)
        before = self.digest(self.folder / "pack")
        inner.write_text(GOOD + "# changed\n")
        self.assertNotEqual(self.digest(self.folder / "pack"), before)


if __name__ == "__main__":
    unittest.main()

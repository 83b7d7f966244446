"""The parts that decide what a figure says: the count of commits, the form of figures, the end of what was started."""

import json
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from orchestration import driver, table
from orchestration.driver import Mode
from orchestration.environment import Environment
from orchestration.measure import Measurement
from orchestration.stage import Stage
from orchestration.syncs import Syncs, can_count

HERE = Path(__file__).resolve().parent
# Does as many commits as each line asks for, in the journal mode given.
COMMITS = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute(f"PRAGMA journal_mode = {sys.argv[2]}")
database.execute("PRAGMA synchronous = FULL")
database.execute("CREATE TABLE steps (n)")
print("ready", flush=True)
for line in sys.stdin:
    for n in range(int(line)):
        database.execute("INSERT INTO steps VALUES (?)", (n,))
    print("done", flush=True)
"""
CLIENT = """
from conversation import converse
converse("1.0", {"chain40": lambda steps, n: steps * 55}, lambda in_flight, window: window.ended(55))
"""


@unittest.skipUnless(can_count(), "strace is missing")
class CommitsAreCounted(unittest.TestCase):
    def commits(self, journal_mode: str, count: int) -> Syncs:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-c", COMMITS, f"{folder}/steps.sqlite", journal_mode]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            with subprocess.Popen(command, text=True, **pipes) as writer:
                self.assertEqual(writer.stdout.readline(), "ready\n")
                try:
                    with Syncs([writer.pid], Path(folder)) as syncs:
                        print(count, file=writer.stdin, flush=True)
                        self.assertEqual(writer.stdout.readline(), "done\n")
                except OSError as error:
                    self.skipTest(str(error))
                writer.stdin.close()
            return syncs

    def test_a_commit_with_a_rollback_journal_is_one_although_it_syncs_more(self):
        syncs = self.commits("DELETE", 5)
        self.assertEqual(syncs.commits, 5)
        self.assertGreaterEqual(syncs.all, 10)

    def test_a_commit_to_a_write_ahead_log_is_one(self):
        self.assertEqual(self.commits("WAL", 0).commits, 0)
        more, fewer = self.commits("WAL", 12).commits, self.commits("WAL", 2).commits
        # The first write of a log syncs its head, too.
        self.assertEqual(more - fewer, 10)


class FiguresAreWellFormed(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        source = Path(folder.name) / "source"
        source.mkdir()
        (source / "client.py").write_text(CLIENT)
        self.environment = Environment(source, Path(folder.name) / "target")
        self.environment.bin.mkdir(parents=True)
        (self.environment.bin / "python").symlink_to(sys.executable)

    def test_a_figure_has_its_fields_and_survives_json(self):
        mode = Mode("bare", "Nothing.", scenarios={"fan100": "it cannot"})
        with Stage(self.environment, None) as stage:
            client = stage.client()
            self.assertEqual(client.version, "1.0")
            measured = list(Measurement("none", mode, stage, client).figures(["chain40", "fan100"], 4))
        figure, skipped = json.loads(json.dumps(measured))
        self.assertEqual((figure["system"], figure["mode"], figure["unit"]), ("none", "bare", "ms"))
        self.assertEqual(figure["samples"], 4)
        self.assertLessEqual(figure["min"], figure["median"])
        self.assertLessEqual(figure["median"], figure["max"])
        self.assertIsNone(figure["commits_per_step"], "nothing was named whose syncs count")
        self.assertEqual(skipped["skipped"], "it cannot")
        for word in ("chain40", "none, bare, fan100: skipped: it cannot"):
            self.assertIn(word, table.of(measured))

    def test_a_stage_ends_what_it_started_and_what_that_started(self):
        # The shell dies of the signal at once; its child ignores it, and goes with the group.
        script = "trap '' TERM; sleep 1000 & child=$!; trap - TERM; echo $child; wait"
        with Stage(self.environment, None) as stage:
            shell = stage.spawn("shell", ["bash", "-c", script], stdout=subprocess.PIPE)
            child = int(shell.stdout.readline())
            folder = stage.folder
            self.assertTrue(Path(f"/proc/{child}").exists())
        self.assertEqual(shell.returncode, -signal.SIGTERM)
        deadline = time.monotonic() + 20
        while _runs(child):
            self.assertLess(time.monotonic(), deadline, "the child outlived its group")
            time.sleep(0.01)
        self.assertFalse(folder.exists())


def _runs(pid: int) -> bool:
    """Whether it runs; what nobody has waited for yet, after its end, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class DriversAreComplete(unittest.TestCase):
    def test_every_driver_has_modes_a_start_and_a_client(self):
        self.assertGreaterEqual(len(driver.names()), 6)
        for name in driver.names():
            with self.subTest(name):
                module = driver.load(name)
                self.assertTrue(callable(module.start))
                self.assertTrue((driver.DRIVERS / name / "client.py").exists())
                modes = [mode.name for mode in module.MODES]
                self.assertEqual(len(modes), len(set(modes)))
                self.assertTrue(all(mode.durable.endswith(".") for mode in module.MODES))

    def test_what_comes_from_a_registry_with_versions_is_pinned(self):
        for path in driver.DRIVERS.glob("*/requirements.txt"):
            for line in path.read_text().split():
                self.assertRegex(line, r"==\d", path)
        for path in driver.DRIVERS.glob("*/npm.txt"):
            for line in path.read_text().split():
                self.assertRegex(line, r".@\d", path)


if __name__ == "__main__":
    unittest.main()

"""The example on small repositories made for the test: `python3 -m unittest` in this folder."""

import os
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree as tree
from datetime import date, timedelta
from pathlib import Path

from neena import Fatal

import activity_chart
from commit_digest import CommitDigest, Week


def repository(folder, commits):
    """A repository with one commit for each (author, day, files)."""

    def git(*arguments, **more):
        subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True, env={**os.environ, **more})

    git("init", "-q", "-b", "main")
    for author, day, files in commits:
        for name, text in files.items():
            Path(folder, name).write_text(text)
        git("add", "-A")
        when = f"{day}T12:00:00Z"
        who = {"AUTHOR_NAME": author, "COMMITTER_NAME": author, "AUTHOR_EMAIL": "a@b.c", "COMMITTER_EMAIL": "a@b.c",
               "AUTHOR_DATE": when, "COMMITTER_DATE": when}  # fmt: skip
        git("commit", "-q", "-m", f"Change {' and '.join(files)}", **{f"GIT_{key}": value for key, value in who.items()})


HISTORY = [
    ("Ada", "2024-01-02", {"a.txt": "1\n2\n", "odd name|*.txt": "x\n"}),
    ("Bob", "2024-01-03", {"a.txt": "1\n2\n3\n"}),
    ("Ada", "2024-01-23", {"a.txt": "1\n", "b.txt": "<script>\n"}),
]


class Digest(unittest.TestCase):
    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory()) if hasattr(self, "enterContext") else tempfile.mkdtemp()
        self.source = os.path.join(self.folder, "source")
        os.mkdir(self.source)
        self.digest = CommitDigest()

    def run_all(self, source, output="out"):
        output = os.path.join(self.folder, output)
        history = self.digest.read_commits(source)
        weeks = self.digest.count_weeks(history.commits)
        chart = self.digest.draw_activity(weeks, history.repository, output)
        page = self.digest.render_digest(
            history.repository, history.commits, self.digest.rank_authors(history.commits),
            self.digest.find_hot_files(history.commits), chart, output, history.note,
        )  # fmt: skip
        tree.parse(chart)
        return Path(page).read_text()

    def test_commits_are_read_with_their_files(self):
        repository(self.source, HISTORY)
        commits = self.digest.read_commits(self.source).commits
        self.assertEqual([commit.author for commit in commits], ["Ada", "Bob", "Ada"])
        self.assertEqual({change.path for change in commits[2].changes}, {"a.txt", "odd name|*.txt"})
        self.assertEqual(commits[0].time, "2024-01-23T12:00:00Z")
        self.assertEqual(len(self.digest.read_commits(self.source, since="2024-01-10").commits), 1)
        self.assertEqual(len(self.digest.read_commits(self.source, limit=2).commits), 2)

    def test_authors_files_and_weeks_are_ranked_and_counted(self):
        repository(self.source, HISTORY)
        commits = self.digest.read_commits(self.source).commits
        self.assertEqual([(a.author, a.commits, a.first, a.last) for a in self.digest.rank_authors(commits)],
                         [("Ada", 2, "2024-01-02", "2024-01-23"), ("Bob", 1, "2024-01-03", "2024-01-03")])  # fmt: skip
        hot = self.digest.find_hot_files(commits)[0]
        self.assertEqual((hot.path, hot.commits, hot.authors, hot.added, hot.deleted), ("a.txt", 3, 2, 3, 2))
        weeks = self.digest.count_weeks(commits)
        self.assertEqual([(w.monday, w.commits) for w in weeks],
                         [("2024-01-01", 2), ("2024-01-08", 0), ("2024-01-15", 0), ("2024-01-22", 1)])  # fmt: skip

    def test_the_page_links_the_chart_and_escapes_what_people_wrote(self):
        repository(self.source, [*HISTORY, ("[x](javascript:y)", "2024-01-24", {"b.txt": "2\n"})])
        page = self.run_all(self.source)
        self.assertIn("![Commits per week](activity.svg)", page)
        self.assertIn("4 commits by 3 authors from 2024-01-02 to 2024-01-24", page)
        self.assertIn("\\[x\\](javascript:y)", page)

    def test_a_single_commit_is_enough(self):
        repository(self.source, HISTORY[:1])
        self.assertIn("1 commit by 1 author on 2024-01-02", self.run_all(self.source))

    def test_a_shallow_clone_works_and_says_what_is_missing(self):
        repository(self.source, HISTORY)
        clone = os.path.join(self.folder, "clone")
        subprocess.run(["git", "clone", "-q", "--depth=1", f"file://{self.source}", clone], check=True)
        page = self.run_all(clone)
        self.assertIn("1 commit by 1 author", page)
        self.assertIn("the clone is shallow", page)

    def test_what_is_no_repository_is_told(self):
        for source, told in [(self.folder, "not a git repository"), ("/nowhere", "no such folder")]:
            with self.assertRaisesRegex(Fatal, told):
                self.digest.read_commits(source)
        subprocess.run(["git", "-C", self.source, "init", "-q"], check=True)
        with self.assertRaises(Fatal):
            self.digest.read_commits(self.source)

    def test_the_scale_of_the_chart_has_few_round_steps(self):
        for most in (1, 2, 7, 10, 49, 123, 4_999):
            scale = activity_chart.ticks(most)
            self.assertTrue(3 <= len(scale) <= 6 and scale[-1] >= most, (most, scale))

    def test_a_chart_of_many_weeks_keeps_its_labels_apart(self):
        first = date(2023, 10, 2)
        for count in (1, 9, 53, 104):
            weeks = [Week((first + timedelta(weeks=n)).isoformat(), n % 9 + 1, n, 0) for n in range(count)]
            drawn = tree.fromstring(activity_chart.draw("x", weeks))
            labels = [found for found in drawn.iter("{http://www.w3.org/2000/svg}text") if found.get("class") == "week"]
            places = [float(label.get("x")) for label in labels]
            self.assertTrue(places, count)
            self.assertTrue(all(b - a >= activity_chart.LABEL for a, b in zip(places, places[1:])), places)
            self.assertEqual(sum(" 2023" in label.text for label in labels), 1)


if __name__ == "__main__":
    unittest.main()

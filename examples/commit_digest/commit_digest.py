"""Reads a git repository's history and writes a digest of it: who, what, and when.

Standard library only. Every task takes JSON and gives JSON; the two that write files say so by not
being pure.
"""

import os
import shutil
import subprocess
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

from neena import Fatal, integration, task

import activity_chart
import digest_page

# A task's result may have 1 MiB: of a long history the newest commits are kept, up to this many
# changed files in all.
MOST_CHANGES = 6_000


@dataclass
class Change:
    """One file changed by a commit."""

    path: str
    added: int
    deleted: int


@dataclass
class Commit:
    """One commit.

    Attributes:
        hash: The first twelve digits.
        author: The author's name.
        time: When it was authored, in UTC.
        subject: The first line of its message.
        changes: The files it changed.
    """

    hash: str
    author: str
    time: str
    subject: str
    changes: list[Change]


@dataclass
class History:
    """What was read of a repository.

    Attributes:
        repository: The repository's name.
        commits: Newest first.
        note: What is missing, if something is.
    """

    repository: str
    commits: list[Commit]
    note: str


@dataclass
class Author:
    """An author's part."""

    author: str
    commits: int
    added: int
    deleted: int
    first: str
    last: str


@dataclass
class HotFile:
    """How often a file changed, and by how many authors."""

    path: str
    commits: int
    authors: int
    added: int
    deleted: int


@dataclass
class Week:
    """A week, by its Monday."""

    monday: str
    commits: int
    added: int
    deleted: int


@integration(name="Commit digest", short_name="commit_digest")
class CommitDigest:
    """A repository's history, read, ranked, drawn and written up."""

    # Not pure: the repository may have moved on by the next time it is read.
    @task
    def read_commits(
        self, repository: str, title: str | None = None, since: str | None = None, limit: int = 1000
    ) -> History:
        """Reads the newest commits of a git repository, merges left out.

        Args:
            repository: Path of the repository or of a folder in it.
            title: What to call it; without one, the name of its folder.
            since: Only commits after this, in words that git knows ("2 weeks ago", "2024-01-31").
            limit: How many commits at most.
        """
        top = Path(_git(repository, "rev-parse", "--show-toplevel").strip() or repository)
        arguments = ["--no-merges", "--no-renames", "--numstat", "-z", f"--max-count={max(1, min(limit, 5000))}"]
        if since:
            arguments.append(f"--since={since}")
        log = _git(repository, "log", *arguments, "--format=%x1e%H%x1f%aN%x1f%at%x1f%s%x1f")
        commits, notes, changes = [], [], 0
        for record in log.split("\x1e")[1:]:
            commit = _commit(record)
            changes += len(commit.changes)
            if commits and changes > MOST_CHANGES:
                notes.append(f"only the newest {len(commits)} commits are counted")
                break
            commits.append(commit)
        if not commits:
            raise Fatal(f"{repository}: there is no commit to tell of")
        if _git(repository, "rev-parse", "--is-shallow-repository").strip() == "true":
            notes.append("the clone is shallow, so older history is missing")
        return History(title or top.name, commits, "; ".join(notes))

    @task(pure=True)
    def rank_authors(self, commits: list[Commit], top: int = 10) -> list[Author]:
        """Ranks the authors by commits, then by lines changed."""
        authors = {}
        for commit in commits:
            day = commit.time[:10]
            author = authors.setdefault(commit.author, Author(commit.author, 0, 0, 0, day, day))
            author.commits += 1
            author.added += sum(change.added for change in commit.changes)
            author.deleted += sum(change.deleted for change in commit.changes)
            author.first, author.last = min(author.first, day), max(author.last, day)
        ranked = sorted(authors.values(), key=lambda author: (-author.commits, -author.added - author.deleted, author.author))
        return ranked[:top]

    @task(pure=True)
    def find_hot_files(self, commits: list[Commit], top: int = 15) -> list[HotFile]:
        """Finds the files that change most: by commits, then by lines."""
        commits_of, authors_of, added, deleted = Counter(), defaultdict(set), Counter(), Counter()
        for commit in commits:
            for change in commit.changes:
                commits_of[change.path] += 1
                authors_of[change.path].add(commit.author)
                added[change.path] += change.added
                deleted[change.path] += change.deleted
        ranked = sorted(commits_of, key=lambda path: (-commits_of[path], -added[path] - deleted[path], path))
        return [
            HotFile(path, commits_of[path], len(authors_of[path]), added[path], deleted[path]) for path in ranked[:top]
        ]

    @task(pure=True)
    def count_weeks(self, commits: list[Commit], most: int = 104) -> list[Week]:
        """Counts commits and lines per week, the weeks without a commit included.

        Args:
            commits: The history.
            most: How many weeks at most, the latest ones.
        """
        counted = {}
        for commit in commits:
            day = date.fromisoformat(commit.time[:10])
            monday = day - timedelta(days=day.weekday())
            week = counted.setdefault(monday, Week(monday.isoformat(), 0, 0, 0))
            week.commits += 1
            week.added += sum(change.added for change in commit.changes)
            week.deleted += sum(change.deleted for change in commit.changes)
        last = max(counted)
        first = max(min(counted), last - timedelta(weeks=most - 1))
        weeks = (first + timedelta(weeks=n) for n in range((last - first).days // 7 + 1))
        return [counted.get(monday) or Week(monday.isoformat(), 0, 0, 0) for monday in weeks]

    # Not pure: it writes a file. Doing it twice leaves the same file, so it may be repeated.
    @task
    def draw_activity(self, weeks: list[Week], repository: str, output: str) -> str:
        """Draws the activity per week as an SVG file and gives its path.

        Args:
            weeks: Commits per week, in order.
            repository: The repository's name, for the title.
            output: The folder that gets the file; made if it is not there.
        """
        return _write(output, "activity.svg", activity_chart.draw(repository, weeks))

    @task
    def render_digest(
        self,
        repository: str,
        commits: list[Commit],
        authors: list[Author],
        files: list[HotFile],
        chart: str,
        output: str,
        note: str = "",
    ) -> str:
        """Writes digest.md and gives its path.

        Args:
            repository: The repository's name.
            commits: The history, newest first.
            authors: The ranked authors.
            files: The files that change most.
            chart: Path of the chart, linked from the page.
            output: The folder that gets the file.
            note: What is missing of the history.
        """
        link = os.path.relpath(chart, output)
        return _write(output, "digest.md", digest_page.render(repository, commits, authors, files, link, note))


def _commit(record):
    """A commit from its part of git's log: fields, then a NUL-separated line per file."""
    found, author, time, subject, rest = record.split("\x1f", 4)
    changes = []
    for line in rest.split("\0"):
        parts = line.strip("\n").split("\t", 2)
        if len(parts) == 3:
            # git counts a binary file's lines as "-".
            added, deleted = (int(count) if count.isdigit() else 0 for count in parts[:2])
            changes.append(Change(parts[2], added, deleted))
    when = datetime.fromtimestamp(int(time), timezone.utc)
    return Commit(found[:12], author, when.strftime("%Y-%m-%dT%H:%M:%SZ"), subject[:200], changes)


def _git(repository, *arguments):
    git = shutil.which("git") or shutil.which("git", path="/usr/local/bin:/usr/bin:/bin")
    if git is None:
        raise Fatal("git is not installed")
    if not Path(repository).is_dir():
        raise Fatal(f"{repository}: there is no such folder")
    settings = ["-c", "core.quotepath=off", "-c", "log.showSignature=false", "-c", "color.ui=false"]
    done = subprocess.run(
        [git, "-C", repository, *settings, *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, encoding="utf-8", errors="replace",
        env={**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
    )  # fmt: skip
    if done.returncode != 0:
        raise Fatal(f"git {arguments[0]}: {done.stderr.strip() or 'it failed'}")
    return done.stdout


def _write(output, name, text):
    """Writes the file whole or not at all."""
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    fresh = folder / f".{name}.{os.getpid()}"
    fresh.write_text(text, encoding="utf-8")
    os.replace(fresh, path)
    return str(path.resolve())

"""The page: digest.md, with its tables and the link to the chart."""

import re

# What Markdown would take as its own, in the middle of a line.
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~#])")

RECENT = 8


def render(repository, commits, authors, files, chart, note):
    """The page as text; `commits` are newest first, `chart` is a link."""
    added = sum(change.added for commit in commits for change in commit.changes)
    deleted = sum(change.deleted for commit in commits for change in commit.changes)
    days = sorted(commit.time[:10] for commit in commits)
    span = f"on {days[0]}" if days[0] == days[-1] else f"from {days[0]} to {days[-1]}"
    lines = [
        f"# Digest of {text(repository)}",
        "",
        f"{_count(len(commits), 'commit')} by {_count(len({commit.author for commit in commits}), 'author')} {span}: "
        f"{added:,} lines added, {deleted:,} deleted.",
        "",
        *([f"> Note: {text(note)}.", ""] if note else []),
        f"![Commits per week]({chart})",
        "",
        "## Authors",
        "",
        *_table(
            ["Author", "Commits", "Added", "Deleted", "First", "Last"],
            [[text(a.author), a.commits, f"{a.added:,}", f"{a.deleted:,}", a.first, a.last] for a in authors],
        ),
        "",
        "## Files that change most",
        "",
        *_table(
            ["File", "Commits", "Authors", "Added", "Deleted"],
            [[_code(f.path), f.commits, f.authors, f"{f.added:,}", f"{f.deleted:,}"] for f in files],
        ),
        "",
        "## Latest commits",
        "",
        *[f"- `{commit.hash}` {commit.time[:10]} {text(commit.subject)} ({text(commit.author)})" for commit in commits[:RECENT]],
        "",
    ]
    return "\n".join(lines)


def text(raw):
    """A text as Markdown shows it: one line, no markup of its own."""
    return _SPECIAL.sub(r"\\\1", " ".join(raw.split()))


def _code(raw):
    fence = "``" if "`" in raw else "`"
    return f"{fence}{raw.replace('|', chr(92) + '|')}{fence}"


def _count(number, noun):
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _table(head, rows):
    """A Markdown table; all columns after the first are numbers or dates, set to the right."""
    yield f"| {' | '.join(head)} |"
    yield f"|:--{'|--:' * (len(head) - 1)}|"
    for row in rows:
        yield f"| {' | '.join(str(cell) for cell in row)} |"

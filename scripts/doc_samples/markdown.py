"""Samples of a Markdown document: each runnable code block, with the JSON printed after it."""

import json
import re

LANGUAGES = ("shell", "python", "ruby", "javascript")

_FENCE = re.compile(r"^```(\w*)\s*$")
_COMMENT = re.compile(r"^\s*(#|//)")


class Sample:
    """A code block: where it stands, its language, its text, and the answer documented after it."""

    def __init__(self, section, line, language, code):
        self.section = section
        self.line = line
        self.language = language
        self.code = code
        self.answer = None

    def __str__(self):
        return f"{self.section} ({self.language}, line {self.line})"


def samples(text):
    """The document's samples in order. Blocks that only hold a comment are none, nor are those that
    call the placeholder `/api/endpoint`."""
    found, waiting, section = [], [], ""
    for kind, line, body in _blocks(text):
        if kind == "#":
            # What is documented under another heading is no answer of these samples.
            section, waiting = body, []
        elif kind in LANGUAGES:
            if all(_COMMENT.match(row) or not row.strip() for row in body.splitlines()):
                continue
            if "/api/endpoint" not in body:
                waiting.append(Sample(section, line, kind, body))
                found.append(waiting[-1])
        elif kind == "json":
            for sample in waiting:
                if sample.answer is None:
                    sample.answer = json.loads(re.sub(r"\[\s*\.\.\.\s*\]", "[]", body))
    return found


def _blocks(text):
    """Headings (`#`) and fenced blocks (their language), each with its line and its text."""
    language, start, body = None, 0, []
    for number, row in enumerate(text.splitlines(), 1):
        fence = _FENCE.match(row)
        if language is None and fence:
            language, start, body = fence[1] or "text", number, []
        elif language is not None and fence:
            yield language, start, "\n".join(body)
            language = None
        elif language is not None:
            body.append(row)
        elif row.startswith("#"):
            yield "#", number, row.lstrip("#").strip()

"""Reads docstrings: what a function says of itself, of each parameter and of what it returns.

Google style (`Args:`), NumPy style (`Parameters` underlined) and Sphinx style (`:param x:`).
"""

import inspect
import re

_GOOGLE = re.compile(r"(Args|Arguments|Parameters|Params|Attributes|Fields|Returns|Return|Yields|Raises|Examples?|Notes?):\s*\Z")
_UNDERLINED = re.compile(r"-{3,}\s*\Z")
_SPHINX = re.compile(r":(?:param|parameter|arg|argument|ivar|var)\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:\s*(.*)\Z")
_SPHINX_RETURN = re.compile(r":returns?:\s*(.*)\Z")
_ENTRY = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)\Z")
_NUMPY_ENTRY = re.compile(r"\*{0,2}(\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?\Z")
_PARAMETERS = {"args", "arguments", "parameters", "params", "attributes", "fields", "other parameters"}
_RETURNS = {"returns", "return"}


class Doc:
    """A docstring taken apart: `description` (its first paragraph), `parameters`, `returns`."""

    def __init__(self, description, parameters, returns):
        self.description = description
        self.parameters = parameters
        self.returns = returns


def parse(text):
    """Takes a docstring (or None) apart; whatever is not understood is left out."""
    lines = inspect.cleandoc(text or "").splitlines()
    parameters, returns = {}, []
    _sphinx(lines, parameters, returns)
    for title, underlined, body in _sections(lines):
        if title in _PARAMETERS:
            (_numpy_entries if underlined else _google_entries)(body, parameters)
        elif title in _RETURNS:
            returns.extend(_numpy_returns(body) if underlined else body)
    return Doc(_first_paragraph(lines), {name: _join(found) for name, found in parameters.items()}, _join(returns) or None)


def _first_paragraph(lines):
    found = []
    for at, line in enumerate(lines):
        if not line.strip():
            if found:
                break
            continue
        if _is_heading(lines, at) or line.lstrip().startswith(":"):
            break
        found.append(line)
    return _join(found)


def _is_heading(lines, at):
    if _GOOGLE.match(lines[at]):
        return True
    return at + 1 < len(lines) and bool(_UNDERLINED.match(lines[at + 1]))


def _sections(lines):
    at = 0
    while at < len(lines):
        if not _is_heading(lines, at):
            at += 1
            continue
        underlined = not _GOOGLE.match(lines[at])
        title = lines[at].strip().rstrip(":").lower()
        at += 2 if underlined else 1
        body = []
        while at < len(lines) and not _is_heading(lines, at):
            if not underlined and lines[at].strip() and not lines[at].startswith((" ", "\t")):
                break
            body.append(lines[at])
            at += 1
        yield title, underlined, body


def _indent(line):
    return len(line) - len(line.lstrip())


def _google_entries(body, into):
    depths = [_indent(line) for line in body if line.strip()]
    current = None
    for line in body:
        entry = _ENTRY.match(line.strip()) if depths and _indent(line) == min(depths) else None
        if entry:
            current = into.setdefault(entry[1], [])
            current.append(entry[2])
        elif current is not None:
            current.append(line)


def _numpy_entries(body, into):
    current = []
    for line in body:
        entry = _NUMPY_ENTRY.match(line) if line.strip() and _indent(line) == 0 else None
        if entry:
            current = [into.setdefault(name.strip().lstrip("*"), []) for name in entry[1].split(",")]
        else:
            for found in current:
                found.append(line)


def _numpy_returns(body):
    inner = [line for line in body if _indent(line) > 0]
    return inner or body


def _sphinx(lines, parameters, returns):
    current = None
    for line in lines:
        stripped = line.strip()
        field, returned = _SPHINX.match(stripped), _SPHINX_RETURN.match(stripped)
        if field:
            current = parameters.setdefault(field[1], [])
            current.append(field[2])
        elif returned:
            current = returns
            current.append(returned[1])
        elif stripped.startswith(":") or not stripped:
            current = None
        elif current is not None:
            current.append(stripped)


def _join(lines):
    return " ".join(" ".join(lines).split())

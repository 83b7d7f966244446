"""Writes plain data as YAML: the same data gives the same text, and nothing else is needed."""

import json
import re

_PLAIN = re.compile(r"[A-Za-z_$][A-Za-z0-9_$ ./-]*\Z")
_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n", "none"}


def dump(value):
    """`value` (dicts, lists, strings, numbers, booleans, None) as a YAML document."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value):
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _entry(f"{_scalar(str(key))}:", inner)
    elif isinstance(value, list) and value:
        for inner in value:
            nested = list(_lines(inner))
            yield f"- {nested[0]}"
            yield from (f"  {line}" for line in nested[1:])
    else:
        yield _scalar(value)


def _entry(head, inner):
    if isinstance(inner, (dict, list)) and inner:
        yield head
        yield from (f"  {line}" for line in _lines(inner))
    else:
        yield f"{head} {_scalar(inner)}"


def _scalar(value):
    if isinstance(value, str):
        plain = _PLAIN.match(value) and not value.endswith(" ") and value.lower() not in _WORDS
        return value if plain else json.dumps(value, ensure_ascii=False)
    # JSON's other scalars, and its empty containers, are YAML as they are.
    return json.dumps(value, ensure_ascii=False)

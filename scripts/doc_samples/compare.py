"""Whether an answer has every field that is documented, with the documented type."""

import re

_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
_SIX_DIGITS = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
_UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


def faults(documented, got, place="answer", exact=True):
    """What is not as documented, one line each.

    A list documents its first item exactly; of the others a text may be null, and a list empty.
    """
    if isinstance(documented, dict):
        return list(_object(documented, got, place, exact))
    if isinstance(documented, list):
        return list(_array(documented, got, place, exact))
    if isinstance(documented, str) and isinstance(got, str):
        return list(_text(documented, got, place))
    if isinstance(documented, str) and got is None and not exact:
        return []
    return [] if _kind(documented) == _kind(got) else [f"{place}: documented as {_kind(documented)}, but it is {got!r}"]


def _object(documented, got, place, exact):
    if not isinstance(got, dict):
        yield f"{place}: documented as an object, but it is {got!r}"
        return
    for key, value in documented.items():
        if key in got:
            yield from faults(value, got[key], f"{place}.{key}", exact)
        else:
            yield f"{place}.{key} is missing"


def _array(documented, got, place, exact):
    if not isinstance(got, list):
        yield f"{place}: documented as a list, but it is {got!r}"
    elif documented and not got and exact:
        yield f"{place} is empty"
    elif documented:
        for at, item in enumerate(got):
            found = [faults(shape, item, f"{place}[{at}]", exact and at == 0) for shape in documented]
            yield from min(found, key=len)


def _text(documented, got, place):
    if documented.startswith("uuid-of-") and not _UUID.match(got):
        yield f"{place}: documented as a UUID, but it is {got!r}"
    if _TIME.match(documented) and not _SIX_DIGITS.match(got):
        yield f"{place}: documented as a time, but it is {got!r}"


def _kind(value):
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    return "a number" if isinstance(value, (int, float)) else "a text" if isinstance(value, str) else type(value).__name__

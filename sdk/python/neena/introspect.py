"""`python -m neena.introspect PATH…` prints the manifest of what is there.

Each PATH is a Python file, a package, or a folder of them. The manifest goes to the standard output
the program was started with, which nothing else can write to: what integrations print while they are
imported goes to the standard error. Faults are all reported at once, as `{"errors": [...]}`, with
exit code 1. Each file or package is loaded in a process of its own.
"""

import os

# Before anything of the user's is imported, and before anything can be printed.
_OUTPUT = None
if __name__ == "__main__":
    _OUTPUT = os.dup(1)
    os.dup2(2, 1)

import importlib.util
import json
import sys

from . import describe, unit
from .errors import DefinitionError


def main(paths, output):
    _compile_ourselves()
    manifest, errors = introspect(paths)
    answer = {"errors": errors} if errors else manifest
    for error in errors:
        print(explain(error), file=sys.stderr)
    # A lone surrogate in a name or docstring is no JSON that others read.
    _write(output, json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
    return 1 if errors else 0


def _compile_ourselves():
    """Leaves this package's bytecode beside it, so that hosts, which write none, start sooner."""
    if not os.path.exists(importlib.util.cache_from_source(describe.__file__)):
        import compileall

        compileall.compile_dir(os.path.dirname(describe.__file__), quiet=2)


def introspect(paths):
    """The manifest of everything at `paths`, and every fault found (`path`, `line`, `kind`, `message`)."""
    found, errors = [], []
    for path in paths:
        try:
            units = units_at(path)
        except DefinitionError as error:
            errors.append(_error(error, path))
            continue
        for where, named in units:
            answer = _apart(where, named)
            found.extend(answer.get("integrations", []))
            errors.extend(answer.get("errors", []))
        if not errors and not found:
            errors.append(_error(DefinitionError("there is no class decorated with @integration", kind="nothing_found"), path))
    errors.extend(_repeated(found))
    return {"integrations": found}, errors


def explain(error):
    """An error of the manifest as one line for people."""
    line = f":{error['line']}" if error["line"] else ""
    return f"{error['path']}{line}: {error['message']}"


def units_at(path):
    """The files and packages a path stands for, and whether each was named itself."""
    path = os.path.abspath(path)
    if os.path.isfile(path):
        if not path.endswith(".py"):
            raise DefinitionError("not a Python file", path=path, kind="not_found")
        return [(path, True)]
    if not os.path.isdir(path):
        raise DefinitionError("there is no such file or folder", path=path, kind="not_found")
    if os.path.isfile(os.path.join(path, "__init__.py")):
        return [(path, True)]
    inside = [os.path.join(path, name) for name in sorted(os.listdir(path)) if not _is_aside(name)]
    return [(unit, False) for unit in inside if _mentions_us(unit)]


def _is_aside(name):
    return name.startswith(("_", ".", "test_")) or name.endswith("_test.py") or name in ("conftest.py", "tests", "setup.py")


def _mentions_us(path):
    """Whether a file or package of a folder can hold an integration: others are not even imported."""
    if os.path.isfile(os.path.join(path, "__init__.py")):
        files = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
    else:
        files = [path] if os.path.isfile(path) else []
    return any(b"neena" in _bytes(file) for file in files if file.endswith(".py"))


def _bytes(path):
    with open(path, "rb") as file:
        return file.read()


def _apart(path, named):
    """Loads a unit in a forked process, so that units cannot see each other's modules."""
    incoming, outgoing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(incoming)
        if _OUTPUT is not None:
            os.close(_OUTPUT)
        try:
            answer = _describe(path, named)
        except BaseException as error:  # what is not foreseen must not run on as a second parent
            answer = {"errors": [_error(DefinitionError(f"{type(error).__name__}: {error}", kind="import"), path)]}
        text = json.dumps(answer).encode()
        _write(outgoing, len(text).to_bytes(8, "big") + text)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    os.close(outgoing)
    try:
        size = int.from_bytes(_read(incoming, 8), "big")
        text = _read(incoming, size)
    except EOFError:
        text = None
    finally:
        os.close(incoming)
    _, status = os.waitpid(child, 0)
    if text is None:
        code = os.waitstatus_to_exitcode(status)
        why = f"signal {-code}" if code < 0 else f"exit code {code}"
        return {"errors": [_error(DefinitionError(f"importing it ended the process ({why})", kind="import"), path)]}
    return json.loads(text)


def _describe(path, named):
    try:
        loaded = unit.load(path)
        if named and not loaded.integrations:
            hint = "; import it in __init__.py" if os.path.isdir(path) else ""
            raise DefinitionError(f"there is no class decorated with @integration{hint}", path, kind="nothing_found")
    except DefinitionError as error:
        return {"errors": [_error(error, path)]}
    found, errors = [], []
    for entry in loaded.integrations:
        try:
            found.append(describe.integration(entry, loaded.digest, path))
        except DefinitionError as error:
            errors.append(_error(error, path))
    return {"integrations": found, "errors": errors}


def _repeated(found):
    """Short names that two integrations have."""
    first, errors = {}, []
    for entry in found:
        other = first.setdefault(entry["short_name"], entry)
        if other is not entry:
            message = (
                f"short_name {entry['short_name']!r} of class {entry['class_name']} is taken by "
                f"class {other['class_name']} in {other['path']}"
            )
            errors.append(_error(DefinitionError(message, kind="duplicate_short_name"), entry["path"]))
    return errors


def _error(error, path):
    return {"path": error.path or os.path.abspath(path), "line": error.line, "kind": error.kind, "message": str(error)}


def _write(descriptor, data):
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _read(descriptor, size):
    parts = []
    while size:
        part = os.read(descriptor, min(size, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit("usage: python -m neena.introspect PATH...")
    sys.exit(main(sys.argv[1:], _OUTPUT))

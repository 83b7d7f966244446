"""Loading a unit: one file or package with integrations in it, as a fresh process sees it."""

import importlib.util
import os
import sys
import traceback

from . import decorators
from .errors import DefinitionError
from .sources import Finder, SourceLoader, Sources


class Unit:
    """What was found in a file or package: its integrations, and the digest of its sources."""

    def __init__(self, path, integrations, digest):
        self.path = path
        self.integrations = integrations
        self.digest = digest


def load(path):
    """Imports the file or package at `path`. A `DefinitionError` says what is wrong and where.

    Meant for once per process: the modules stay imported.
    """
    path = os.path.abspath(path)
    main = os.path.join(path, "__init__.py") if os.path.isdir(path) else path
    if not os.path.isfile(main):
        raise DefinitionError("there is no such file or package", path=path, kind="not_found")
    name = _module_name(path)
    sources = Sources(os.path.dirname(path))
    sys.path.insert(0, sources.root)
    sys.meta_path.insert(0, Finder(sources))
    before = len(decorators.registered)
    _import(name, main, path if main != path else None, sources)
    found = [entry for entry in decorators.registered[before:] if _is_of(entry.cls.__module__, name, main != path)]
    sources.seal(path)
    return Unit(path, found, sources.digest())


def _is_of(module, name, is_package):
    # Beside a file lie others, with integrations of their own.
    return module == name or is_package and module.startswith(name + ".")


def _module_name(path):
    name = os.path.basename(path)
    name = name[:-3] if name.endswith(".py") else name
    if not name.isidentifier():
        raise DefinitionError(f"{name!r} cannot be a module's name; rename it", path=path)
    if name in sys.stdlib_module_names or name == "neena":
        raise DefinitionError(f"{name} is the name of a module that Python or Neena needs; rename it", path=path)
    return name


def _import(name, main, folder, sources):
    spec = importlib.util.spec_from_file_location(
        name, main, loader=SourceLoader(name, main, sources), submodule_search_locations=[folder] if folder else None
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except DefinitionError as error:
        if error.path is None:
            error.path, error.line = _place(error, sources, main)
        raise
    except SyntaxError as error:
        raise DefinitionError(f"syntax error: {error.msg}", error.filename or main, error.lineno, "syntax") from error
    except BaseException as error:  # sys.exit() at import included
        place, line = _place(error, sources, main)
        raise DefinitionError(f"{type(error).__name__}: {error}", place, line, "import") from error


def _place(error, sources, main):
    """The last line of the integration's own code on the way to an error."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if sources.relative(frame.filename) in sources.files]
    return (own[-1].filename, own[-1].lineno) if own else (main, None)

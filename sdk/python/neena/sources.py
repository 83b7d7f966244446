"""The sources of an integration: the very bytes that were compiled, and their digest.

A file that is edited between being read and being imported cannot slip through, since what is
digested is what the import system was given. What a task imports later, while it runs, comes from
the bytes kept here, or not at all.
"""

import ast
import hashlib
import importlib.machinery
import os
import sys
import sysconfig

LOCK_FILES = ("poetry.lock", "requirements.lock", "requirements.txt", "uv.lock")

_OTHERS = {"site-packages", "dist-packages"}
_STDLIB = sysconfig.get_path("stdlib")


class Sources:
    """The files below `root` that an integration consists of: relative path → bytes."""

    def __init__(self, root):
        self.root = os.path.abspath(root)
        self.files = {}
        self.sealed = False

    def relative(self, path):
        """`path` as written in the digest; None for a file that is not the integration's own."""
        path = os.path.abspath(path)
        prefix = self.root if self.root.endswith(os.sep) else self.root + os.sep
        if not path.startswith(prefix) or path.startswith(_STDLIB + os.sep):
            return None
        parts = path[len(prefix) :].split(os.sep)
        return None if _OTHERS.intersection(parts) else "/".join(parts)

    def read(self, path):
        """The bytes of one of the files: read once, then kept."""
        name = self.relative(path)
        if name not in self.files:
            if self.sealed:
                raise ImportError(
                    f"{name} belongs to the integration but not to its digest, since nothing imports it by name; "
                    "import it at the top of the file",
                    path=path,
                )
            with open(path, "rb") as file:
                self.files[name] = file.read()
        return self.files[name]

    def seal(self, main):
        """Takes in what the sources import only later (inside functions) and the lock files; then no more.

        `main` is the integration's file or package.
        """
        waiting = list(self.files)
        while waiting:
            name = waiting.pop()
            for path in _named_by(name, self.files[name], self.root):
                found = self.relative(path)
                if found is not None and found not in self.files:
                    self.read(path)
                    waiting.append(found)
        beside = {os.path.dirname(main), main if os.path.isdir(main) else self.root}
        for path in (os.path.join(folder, lock) for folder in beside for lock in LOCK_FILES):
            if os.path.isfile(path):
                self.read(path)
        self.sealed = True

    def digest(self):
        """SHA-256 over Python's version and, sorted by path, the path and SHA-256 of each file."""
        whole = hashlib.sha256(f"neena python 1\n{sys.version_info[0]}.{sys.version_info[1]}\n".encode())
        for name in sorted(self.files):
            inner = hashlib.sha256(self.files[name]).hexdigest()
            whole.update(f"{inner} {name}\n".encode("utf-8", "surrogateescape"))
        return whole.hexdigest()


class Finder:
    """An entry of `sys.meta_path`: modules below the root are loaded through their `Sources`."""

    def __init__(self, sources):
        self.sources = sources

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "neena":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or not spec.has_location or self.sources.relative(spec.origin) is None:
            return None
        if isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = SourceLoader(name, spec.origin, self.sources)
        elif isinstance(spec.loader, importlib.machinery.SourcelessFileLoader):
            raise ImportError(f"{spec.origin} is compiled; an integration is loaded from its sources", path=spec.origin)
        else:  # an extension module: its bytes are loaded by the operating system
            self.sources.read(spec.origin)
        return spec

    def invalidate_caches(self):
        importlib.machinery.PathFinder.invalidate_caches()


class SourceLoader(importlib.machinery.SourceFileLoader):
    """Compiles the bytes kept by `Sources`; neither reads nor writes bytecode caches."""

    def __init__(self, name, path, sources):
        super().__init__(name, path)
        self.sources = sources

    def get_code(self, fullname):
        path = self.get_filename(fullname)
        return self.source_to_code(self.sources.read(path), path)


def _named_by(name, source, root):
    """Paths below `root` of the modules that a source's import statements name, wherever they stand."""
    if not name.endswith(".py"):
        return
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    package = name.split("/")[:-1]
    for node in ast.walk(tree):
        for parts in _modules(node, package):
            yield from _files(parts, root)


def _modules(node, package):
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name.split(".")
    elif isinstance(node, ast.ImportFrom):
        above = package[: len(package) - node.level + 1] if node.level else []
        base = above + (node.module.split(".") if node.module else [])
        yield base
        for alias in node.names:
            yield base + [alias.name]


def _files(parts, root):
    """The files an import of `parts` runs: each package on the way, then the module."""
    if not parts or _is_loaded_from_elsewhere(parts[0], root):
        return
    for length in range(1, len(parts) + 1):
        path = os.path.join(root, *parts[:length])
        for candidate in (os.path.join(path, "__init__.py"), path + ".py"):
            if os.path.isfile(candidate):
                yield candidate
                break


def _is_loaded_from_elsewhere(top, root):
    if top == "neena" or top in sys.stdlib_module_names:
        return True
    file = getattr(sys.modules.get(top), "__file__", None)
    return file is not None and not os.path.abspath(file).startswith(os.path.join(root, ""))

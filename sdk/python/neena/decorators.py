"""`@integration` and `@task`: they mark what may be called and check what can be checked at once."""

import re

from .errors import DefinitionError

AUTH_TYPES = ("none", "api_key", "basic", "oauth2")

# ASCII only, so that no look-alike letter can stand for another method or integration.
METHOD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}\Z", re.ASCII)
SHORT_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}\Z", re.ASCII)
NAME_LENGTH = range(1, 65)
TASK_NAME_LENGTH = range(6, 65)

_MARK = "__neena_task__"

# Every class decorated in this process, in order: what a load finds is what was added during it.
registered = []


class TaskOptions:
    """What `@task` was given."""

    __slots__ = ("name", "pure", "repeatable")

    def __init__(self, name, pure, repeatable):
        self.name = name
        self.pure = pure
        self.repeatable = repeatable


class Task:
    """One task of an integration: a decorated method under the name it has in its class."""

    __slots__ = ("method", "function", "name", "pure", "repeatable")

    def __init__(self, method, function, options):
        self.method = method
        self.function = function
        self.name = options.name or words(method)
        self.pure = options.pure
        self.repeatable = options.repeatable


class Integration:
    """One decorated class. Its tasks are those decorated in the class itself: inherited ones are not."""

    __slots__ = ("cls", "name", "short_name", "auth_type", "tasks")

    def __init__(self, cls, name, short_name, auth_type, tasks):
        self.cls = cls
        self.name = name
        self.short_name = short_name
        self.auth_type = auth_type
        self.tasks = tasks


def integration(*, name, short_name, auth_type="none"):
    """Makes a class an integration: a named group of tasks.

    `name` is for people (1-64 characters), `short_name` for programs (`[a-z][a-z0-9_]*`, unique),
    `auth_type` is one of none, api_key, basic, oauth2.
    """

    def decorate(cls):
        if not isinstance(cls, type):
            raise _wrong(cls, "@integration belongs on a class")
        if not isinstance(name, str) or len(name.strip()) not in NAME_LENGTH:
            raise _wrong(cls, "the integration's name must have 1 to 64 characters")
        if not isinstance(short_name, str) or not SHORT_NAME.match(short_name):
            raise _wrong(cls, f"short_name {short_name!r} must match [a-z][a-z0-9_]*, at most 64 characters")
        if short_name == "core":
            raise _wrong(cls, "the short_name `core` is the engine's own")
        if auth_type not in AUTH_TYPES:
            raise _wrong(cls, f"auth_type {auth_type!r} must be one of {', '.join(AUTH_TYPES)}")
        tasks = tuple(_tasks(cls))
        if not tasks:
            raise _wrong(cls, f"class {cls.__name__} has no method decorated with @task")
        names = [found.name for found in tasks]
        for found in tasks:
            if names.count(found.name) > 1:
                raise _wrong(found.function, f"two tasks of {cls.__name__} are named {found.name!r}")
        registered.append(Integration(cls, name.strip(), short_name, auth_type, tasks))
        return cls

    return decorate


def task(function=None, *, name=None, pure=False, repeatable=True):
    """Makes a method (`def` or `async def`) a task.

    `name` is for people (6-64 characters; default: the method's name in words). `pure` promises that
    the method is a function of its arguments without effect, so it may be computed again. With
    `repeatable=False` an attempt whose worker is lost fails instead of running again.
    """
    if isinstance(function, str):
        raise DefinitionError("write @task(name=...): the name is a keyword")

    def decorate(method):
        if isinstance(method, (staticmethod, classmethod, property)) or not callable(method) or isinstance(method, type):
            raise _wrong(method, "@task belongs on a plain method (def or async def)")
        if name is not None and not isinstance(name, str):
            raise _wrong(method, "the name of a task must be a string")
        if not isinstance(pure, bool) or not isinstance(repeatable, bool):
            raise _wrong(method, "pure and repeatable must be True or False")
        setattr(method, _MARK, TaskOptions(name, pure, repeatable))
        return method

    return decorate if function is None else decorate(function)


def words(method):
    """A method's name in words: `read_commits` and `readCommits` are "Read commits"."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", method.replace("_", " "))
    text = " ".join(part if part.isupper() and len(part) > 1 else part.lower() for part in spaced.split())
    return text[:1].upper() + text[1:]


def _tasks(cls):
    for method, value in list(vars(cls).items()):
        if isinstance(value, (staticmethod, classmethod)) and hasattr(value.__func__, _MARK):
            raise _wrong(value, "@task belongs on a plain method (def or async def)")
        options = getattr(value, _MARK, None)
        if not isinstance(options, TaskOptions):
            continue
        if not METHOD.match(method):
            raise _wrong(
                value,
                f"a task's method name must start with a letter and hold only ASCII letters, digits and _, "
                f"at most 64 characters: {method!r}",
            )
        found = Task(method, value, options)
        if len(found.name) not in TASK_NAME_LENGTH:
            raise _wrong(
                value,
                f"the task name {found.name!r} of method {method} must have 6 to 64 characters; "
                f'give one with @task(name="...")',
            )
        yield found


def _wrong(what, message):
    what = getattr(what, "__func__", what)
    code = getattr(what, "__code__", None)
    path, line = (code.co_filename, code.co_firstlineno) if code else (None, None)
    return DefinitionError(message, path=path, line=line)

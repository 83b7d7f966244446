"""One loaded integration, ready to be called: only its registered tasks, arguments checked, errors as values."""

import inspect
import json
import os
import traceback

from . import describe, results, running, unit
from .errors import DefinitionError, Fatal, InvalidArguments, ResultNotJson

MAX_RESULT = 1 << 20
MAX_MESSAGE = 4 << 10
MAX_TRACEBACK = 16 << 10

_OWN = os.path.dirname(os.path.abspath(__file__)) + os.sep


class CallError(Exception):
    """A call that failed, as the worker is told: a stable kind, a message, and whether to try again."""

    def __init__(self, kind, message, retryable=False, trace=None):
        super().__init__(message)
        self.kind = kind
        self.message = message if len(message) <= MAX_MESSAGE else message[:MAX_MESSAGE] + "…"
        self.retryable = retryable
        self.trace = trace


class Method:
    """A task bound to the integration's instance."""

    __slots__ = ("function", "is_async", "parameters")

    def __init__(self, instance, found):
        self.function = getattr(instance, found.method)
        self.is_async = inspect.iscoroutinefunction(found.function)
        self.parameters = describe.signature(found.function).parameters

    def arguments(self, given):
        """Keyword arguments from a parsed JSON object."""
        if type(given) is not dict:
            raise InvalidArguments("arguments: expected an object")
        passed = {}
        for parameter in self.parameters:
            name = parameter.name
            if name in given:
                convert = parameter.shape.convert
                value = given.pop(name)
                if convert is not None and not (value is None and parameter.default is None):
                    value = convert(value, name)
                passed[name] = value
            elif parameter.default is inspect.Parameter.empty:
                if not parameter.optional:
                    raise InvalidArguments(f"{name}: missing")
                passed[name] = None
        if given:
            raise InvalidArguments(f"{min(given)}: there is no such parameter")
        return passed


class Integration:
    """An integration loaded in this process, with its one instance."""

    def __init__(self, path, short_name, code_digest):
        loaded = unit.load(path)
        if loaded.digest != code_digest:
            raise CallError("code_changed", f"the files of {short_name} are not what was synced; run `neena sync` again")
        found = [entry for entry in loaded.integrations if entry.short_name == short_name]
        if len(found) != 1:
            raise CallError("load_failed", f"{path} has {len(found)} integrations named {short_name}")
        instance = found[0].cls()
        self.methods = {task.method: Method(instance, task) for task in found[0].tasks}
        self.loop = None

    def call(self, method, body, current):
        """Runs a task; the JSON of its result as bytes, or a `CallError`."""
        found = self.methods.get(method)
        if found is None:
            raise CallError("unknown_method", f"{method!r} is no task of this integration")
        running.enter(current)
        try:
            result = found.function(**found.arguments(_parsed(body)))
            if found.is_async:
                result = self._loop().run_until_complete(result)
            return _encoded(result)
        except CallError:
            raise
        except InvalidArguments as error:
            raise CallError("invalid_arguments", str(error)) from error
        except ResultNotJson as error:
            raise CallError("result_not_json", str(error)) from error
        except BaseException as error:  # sys.exit() in a task ends the task, not the host
            raise _failure(error) from error
        finally:
            running.enter(None)

    def _loop(self):
        # One for the life of the process, so that sessions opened in one call serve the next.
        if self.loop is None:
            import asyncio

            self.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self.loop)
        return self.loop


def load_error(error):
    """Any failure of making an `Integration` as a `CallError`."""
    if isinstance(error, CallError):
        return error
    if isinstance(error, DefinitionError):
        place = f"{error.path}:{error.line}: " if error.path and error.line else ""
        return CallError("load_failed", place + str(error), trace=_trace(error))
    return CallError("load_failed", _sentence(error), trace=_trace(error))


def _parsed(body):
    try:
        return json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise InvalidArguments(f"arguments: {error}") from error


def _encoded(result):
    if isinstance(result, str) and len(result) > MAX_RESULT:  # spares the copies that encoding makes
        raise _too_large(len(result))
    text = results.encode(result)
    if len(text) > MAX_RESULT:
        raise _too_large(len(text))
    return text


def _too_large(size):
    return CallError("result_too_large", f"the result is {size} bytes of JSON, more than the {MAX_RESULT} allowed")


def _failure(error):
    fatal = isinstance(error, Fatal)
    message = str(error) if fatal else _sentence(error)
    return CallError("fatal" if fatal else "exception", message, not fatal, _trace(error))


def _sentence(error):
    try:
        text = str(error)
    except Exception:
        text = "(its message cannot be printed)"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _trace(error):
    """The traceback from the task's own code on, bounded."""
    at = error.__traceback__
    while at is not None and at.tb_frame.f_code.co_filename.startswith(_OWN):
        at = at.tb_next
    try:
        text = "".join(traceback.format_exception(type(error), error, at, limit=-50, chain=False))
    except Exception:
        return None
    return text if len(text) <= MAX_TRACEBACK else "…" + text[-MAX_TRACEBACK:]

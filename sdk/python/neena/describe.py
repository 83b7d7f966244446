"""From a decorated class to its entry in the manifest."""

import inspect
import typing

from . import docstrings, yml
from .errors import DefinitionError
from .shapes import shape


def integration(entry, digest, path):
    """The manifest's entry for an integration loaded from `path`."""
    _check_constructor(entry.cls)
    return {
        "class_name": entry.cls.__name__,
        "name": entry.name,
        "short_name": entry.short_name,
        "auth_type": entry.auth_type,
        "code_digest": digest,
        "path": path,
        "tasks": [_task(found) for found in entry.tasks],
    }


class Signature:
    """A task's parameters and result, understood: shared by the description and the calls."""

    def __init__(self, parameters, result):
        self.parameters = parameters
        self.result = result


class Parameter:
    """One parameter of a task. `default` is `inspect.Parameter.empty` where the method has none."""

    def __init__(self, name, shape, default):
        self.name = name
        self.shape = shape
        self.default = default

    @property
    def optional(self):
        return self.default is not inspect.Parameter.empty or self.shape.nullable and self.shape.data_type != "any"


def signature(function):
    """Reads a method's signature, without `self`."""
    declared = list(inspect.signature(function).parameters.values())
    if not declared or declared[0].kind not in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD):
        raise _wrong(function, "a task needs self as its first parameter")
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except Exception as error:
        raise _wrong(function, f"a type hint cannot be resolved: {error}", "unsupported_hint") from error
    parameters = [_parameter(function, found, hints) for found in declared[1:]]
    return Signature(parameters, _shape(function, "the result", hints.get("return", typing.Any)))


def _parameter(function, declared, hints):
    if declared.kind not in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY):
        raise _wrong(function, f"parameter {declared.name}: arguments are passed by name, so *, ** and / have no place in a task")
    if not declared.name.isascii():
        raise _wrong(function, f"parameter {declared.name}: only ASCII letters, digits and _ can be in its name")
    hint = hints.get(declared.name, typing.Any)
    return Parameter(declared.name, _shape(function, f"parameter {declared.name}", hint), declared.default)


def _shape(function, what, hint):
    try:
        return shape(hint)
    except DefinitionError as error:
        raise _wrong(function, f"{what}: {error}", error.kind) from error


def _check_constructor(cls):
    try:
        inspect.signature(cls).bind()
    except TypeError as error:
        raise DefinitionError(f"class {cls.__name__} is made without arguments, but {error}") from error
    except ValueError:
        pass  # a class written in C, which does not tell


def _task(found):
    doc = docstrings.parse(found.function.__doc__)
    read = signature(found.function)
    outputs, is_list = _outputs(read.result, doc)
    return {
        "task_name": found.name,
        "python_method_name": found.method,
        "description": doc.description or found.name,
        "parameters": [
            _entry(parameter.name, parameter.shape.data_type, at, doc.parameters.get(parameter.name), parameter.optional)
            for at, parameter in enumerate(read.parameters, 1)
        ],
        "input_type": "JSON",
        "input_yml": yml.dump(_input_schema(read.parameters, doc)),
        "output_type": "JSON",
        "output_yml": yml.dump(read.result.schema),
        "output_parameters": outputs,
        "output_is_list": is_list,
        "pure": found.pure,
        "repeatable": found.repeatable,
    }


def _outputs(result, doc):
    """A model's fields (of the items, if it is a list of them); else one output, `result`."""
    fields = result.fields or (result.item.fields if result.item else None)
    if fields:
        found = [
            _entry(field.name, field.shape.data_type, at, field.doc, field.optional) for at, field in enumerate(fields, 1)
        ]
    else:
        found = [_entry("result", result.data_type, 1, doc.returns, result.nullable and result.data_type != "any")]
    return found, result.data_type == "array"


def _entry(name, data_type, position, doc, optional):
    return {"name": name, "data_type": data_type, "position": position, "doc_string": doc or None, "optional": optional}


def _input_schema(parameters, doc):
    properties = {}
    for parameter in parameters:
        said = doc.parameters.get(parameter.name)
        properties[parameter.name] = dict(parameter.shape.schema, **({"description": said} if said else {}))
        if isinstance(parameter.default, (str, int, float, bool)):
            properties[parameter.name]["default"] = parameter.default
    schema = {"type": "object", "properties": properties}
    required = [parameter.name for parameter in parameters if not parameter.optional]
    return dict(schema, **({"required": required} if required else {}), additionalProperties=False)


def _wrong(function, message, kind="definition"):
    code = function.__code__ if hasattr(function, "__code__") else None
    name = getattr(function, "__qualname__", repr(function))
    path, line = (code.co_filename, code.co_firstlineno) if code else (None, None)
    return DefinitionError(f"{name}: {message}", path, line, kind)

"""Every error of this package that somebody can act on."""


class Fatal(Exception):
    """Raised by a task: it failed, and trying again would not help."""


class DefinitionError(Exception):
    """An integration or a task is declared in a way that cannot work.

    `path` and `line` say where, as far as it is known.
    """

    def __init__(self, message, path=None, line=None, kind="definition"):
        super().__init__(message)
        self.path = path
        self.line = line
        self.kind = kind


class InvalidArguments(Exception):
    """The arguments of a call are not what the method's signature says."""


class ResultNotJson(Exception):
    """A task returned something that JSON cannot hold."""

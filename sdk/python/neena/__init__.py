"""What an integration imports: the two decorators, `Fatal`, and `context()`.

    from neena import integration, task

    @integration(name="Greeter", short_name="greeter")
    class Greeter:
        @task(pure=True)
        def say_hello(self, name: str) -> str:
            \"\"\"Greets somebody by name.\"\"\"
            return f"Hello, {name}!"
"""

from .running import Context, context
from .decorators import integration, task
from .errors import DefinitionError, Fatal

__version__ = "0.1.0"

__all__ = ["Context", "DefinitionError", "Fatal", "context", "integration", "task"]

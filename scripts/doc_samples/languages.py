"""How a sample of each language is run as it is printed, and what it printed.

Each language gets a prelude that the sample does not see: it tells the status of every HTTP answer on
standard error, and prints objects as JSON where the language would print them in its own way.
"""

import ast
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "target"

_STATUS = re.compile(r"^http-status: (\d+)$", re.M)

_CURL = """#!/bin/sh
exec {curl} --silent --show-error --fail-with-body --write-out '%{{stderr}}http-status: %{{http_code}}\\n' "$@"
"""

_PYTHON = """
import sys, requests
send = requests.Session.send
def told(self, request, **more):
    response = send(self, request, **more)
    print("http-status:", response.status_code, file=sys.stderr)
    return response
requests.Session.send = told
with open(sys.argv[1]) as file:
    exec(compile(file.read(), sys.argv[1], "exec"), {"__name__": "__main__"})
"""

_RUBY = """
require 'net/http'
Net::HTTP.prepend(Module.new do
  def request(*arguments, &block)
    response = super
    $stderr.puts "http-status: #{response.code}" if started?
    response
  end
end)
"""

_JAVASCRIPT = """
const path = require.resolve('node-fetch');
const fetch = require(path);
require.cache[path].exports = async (...given) => {
  const response = await fetch(...given);
  process.stderr.write(`http-status: ${response.status}\\n`);
  return response;
};
const log = console.log;
console.log = (...values) => log(...values.map(v => typeof v === 'object' ? JSON.stringify(v) : v));
"""


class Done:
    """How a sample ended: what went wrong, if anything, and what it printed."""

    def __init__(self, language, faults, printed):
        self.language = language
        self.faults = faults
        self.printed = printed

    def answer(self):
        """The last thing printed, as a value: Python prints its own notation, the others JSON."""
        lines = self.printed.strip().splitlines()
        text = lines[-1] if lines else ""
        try:
            return ast.literal_eval(text) if self.language == "python" else json.loads(text)
        except (ValueError, SyntaxError) as error:
            return Unreadable(f"what it printed cannot be read ({error}): {text[:200]!r}")


class Unreadable(str):
    """What was printed instead of an answer."""


class Bench:
    """The preludes, written into a folder, and the programs to run samples with."""

    def __init__(self, folder, path):
        self.folder = Path(folder)
        curl = self._write("bin/curl", _CURL.format(curl=_found("curl", path)))
        curl.chmod(0o755)
        self.environment = {
            "PATH": f"{curl.parent}{os.pathsep}{path}",
            "HOME": str(self.folder),
            "NODE_PATH": str(TOOLS / "node" / "node_modules"),
            "LC_ALL": "C.UTF-8",
        }
        python = TOOLS / "venv" / "bin" / "python"
        self.commands = {
            "shell": ["bash", "-euo", "pipefail"],
            "python": [str(python), str(self._write("prelude.py", _PYTHON))],
            "ruby": ["ruby", "-r", str(self._write("prelude.rb", _RUBY))],
            "javascript": ["node", "-r", str(self._write("prelude.js", _JAVASCRIPT))],
        }

    def run(self, language, code):
        """Runs one sample."""
        sample = self._write(f"sample.{language}", code)
        command = [*self.commands[language], str(sample)]
        done = subprocess.run(command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60)  # fmt: skip
        faults = [] if done.returncode == 0 else [f"it ended with {done.returncode}: {done.stderr.strip()[-600:]}"]
        statuses = _STATUS.findall(done.stderr)
        if not statuses:
            faults.append("it made no HTTP call")
        faults += [f"an answer has status {status}: {done.stdout.strip()[:600]}" for status in statuses if status != "200"]
        return Done(language, faults, done.stdout)

    def _write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path


def _found(program, path):
    found = shutil.which(program, path=path)
    if found is None:
        raise SystemExit(f"{program} is not installed: run scripts/setup")
    return found

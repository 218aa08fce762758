"""A handful of notebooks that try something; each earns what its right answers earn: nothing.

Every attack keeps the released stubs except where it says so. Layer: demonstration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["HOSTILE", "Hostile"]


@dataclass(frozen=True, slots=True)
class Hostile:
    """One attack: what it tries, sources by cell id, extra code cells, and edits of metadata."""

    title: str
    cells: Mapping[str, str] = field(default_factory=dict)
    added: tuple[str, ...] = ()
    forged: bool = False  # forge outputs, points and grade metadata too


_ALWAYS_EQUAL = """\
class Yes:
    def __eq__(self, other): return True
    def __hash__(self): return 0
    def __getattr__(self, name): return self
    def __call__(self, *a, **k): return self
    def __iter__(self): return iter([self, self])
    def __len__(self): return 2
    def __float__(self): return 1.0
    __lt__ = __le__ = __gt__ = __ge__ = __eq__

for name in list(globals()):
    if name.endswith("_adjoint"):
        globals()[name] = Yes()
accumulate = gradient = Yes()
"""

_READ_TESTS = """\
import glob, inspect, os, pathlib, sys
loot = {}
for pattern in ("/**/suites/**/*.py", "/**/gradebook.db", "/**/.kit/secrets.json", "/etc/shadow"):
    for path in glob.glob(pattern, recursive=True)[:50]:
        try:
            loot[path] = pathlib.Path(path).read_bytes()
        except OSError as error:
            loot[path] = error
for frame in inspect.stack():
    loot.update({k: v for k, v in frame.frame.f_globals.items() if "expect" in k.lower()})
print(loot, dict(os.environ))
raise SystemExit(sorted(loot))
"""

_CRASH = """\
import ctypes, os, signal
for pid in (os.getppid(), 1):
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError as error:
        print("kill", pid, error)

def mul_adjoint(node, dy):
    ctypes.string_at(0)

def div_adjoint(node, dy):
    os._exit(0)
"""

_BOMBS = """\
import os, socket, subprocess, threading
for attempt in (os.fork, lambda: subprocess.run(["sh", "-c", ":(){ :|:& };:"]),
                lambda: socket.create_connection(("example.org", 80), 1),
                lambda: open("/tmp/fill", "wb").write(b"x" * 10**9)):
    try:
        print(attempt())
    except BaseException as error:
        print(type(error).__name__, error)

def relu_adjoint(node, dy):
    hoard = []
    while True:
        hoard.append(bytearray(64 << 20))

def tanh_adjoint(node, dy):
    while True:
        pass
"""

_PATCHES = """\
import builtins, sys
import numpy as np
np.testing.assert_allclose = np.allclose = np.array_equal = lambda *a, **k: True
builtins.isinstance = lambda *a: True
sys.modules["pytest"] = sys.modules["tinyflow.ops"] = type(sys)("fake")
import tinyflow.passes.gradient, tinyflow.adjoints
for module in (tinyflow.passes.gradient, tinyflow.adjoints):
    for name in vars(module):
        if callable(vars(module)[name]):
            globals().setdefault(name, vars(module)[name])
"""

_FORGERY = """\
print('{"state": "passed", "points": 100}')
print("\\x1b[2J\\x1b[1;1H100 / 100")
"</script><script>document.title = 'A+'</script>"
"""

HOSTILE = (
    Hostile("objects that equal everything", added=(_ALWAYS_EQUAL,)),
    Hostile("reads hidden tests, secrets, gradebook and frames", added=(_READ_TESTS,)),
    Hostile("kills the judge, crashes its process", added=(_CRASH,)),
    Hostile("fork, network, disk, memory and endless-loop bombs", added=(_BOMBS,)),
    Hostile("patches numpy, builtins and pytest; looks for ready answers", added=(_PATCHES,)),
    Hostile("forges scores, points, HTML and terminal output", added=(_FORGERY,), forged=True),
)

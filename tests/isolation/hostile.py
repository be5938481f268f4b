"""What a target may do to the process that looks at it, each with what is said of it: the rows of docs/hostile.md."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MODEL = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(x).cumsum(0)


def opscan_inputs():
    return torch.zeros(2, 4)
"""
REPORTED = "reported as if it did not"


@dataclass(frozen=True)
class Hostile:
    """A target: what it does, in words and in code, and what is said of it.

    `code` stands below the model; in `forward` code it is the first thing that the model's forward does. `says` is the
    first line of the complaint without the target, and a hint that has to be in what follows, or REPORTED.
    """

    does: str
    code: str = ""
    forward: str = ""
    says: str = REPORTED
    hint: str = ""
    hangs: bool = False

    @property
    def name(self) -> str:
        """The stem of its file."""
        letters = "".join(each if each.isalnum() else "_" for each in self.does.lower())
        return "_".join(filter(None, letters.split("_")))

    def write(self, folder: Path) -> str:
        """Write its file into a folder; the target."""
        text = MODEL
        if self.forward:
            lines = "".join(f"        {line}\n" for line in self.forward.strip().splitlines())
            text = text.replace("        return", f"{lines}        return")
        (folder / f"{self.name}.py").write_text(f"{text}\n\n{self.code.strip()}\n", encoding="utf-8")
        return f"{self.name}.py:Net"


ENDINGS = (
    Hostile("sys.exit", "import sys; sys.exit(0)", says="importing {name} ends the program: sys.exit(0)"),
    Hostile("os._exit(0)", "import os; os._exit(0)", says="ended its process with exit status 0", hint="ends Python"),
    Hostile("os._exit(3)", "import os; os._exit(3)", says="ended its process with exit status 3"),
    Hostile("os.abort", "import os; os.abort()", says="killed by signal SIGABRT at {name}.py:18"),
    Hostile(
        "a segfault in a forward", forward="import ctypes; ctypes.string_at(0)",
        says="killed by signal SIGSEGV at {name}.py:11", hint="faulthandler",
    ),
    Hostile("SIGKILL to itself", "import os; os.kill(os.getpid(), 9)", says="killed by signal SIGKILL"),
    Hostile(
        "SIGKILL to its parent", "import os, time; os.kill(os.getppid(), 9); time.sleep(1000)",
        says="killed the process that watches over it",
    ),
    Hostile(
        "SIGKILL to its parent by a daemon",
        """
import os, time
parent = os.getppid()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.kill(parent, 9)
        time.sleep(1000)
time.sleep(1000)
""",
        says="killed the process that watches over it",
    ),
    Hostile("SystemExit in a forward", forward="raise SystemExit(0)", says="SystemExit: 0 at {name}.py:11"),
    Hostile("KeyboardInterrupt in a forward", forward="raise KeyboardInterrupt", says="KeyboardInterrupt at {name}.py:11"),
    Hostile("GeneratorExit in a forward", forward="raise GeneratorExit", says="GeneratorExit at {name}.py:11"),
    Hostile(
        "an exception of its own below BaseException", "class End(BaseException): pass", "raise End('done')",
        says="End: done at {name}.py:11",
    ),
    Hostile("infinite recursion", "def down(): down()\ndown()", says="importing {name} raised RecursionError"),
    Hostile(
        "an exception whose str() raises",
        "class Mute(Exception):\n    def __str__(self): raise ValueError\nraise Mute",
        says="importing {name} raised Mute: (its message raises ValueError)",
    ),
    Hostile(
        "memory without end", "held = []\nwhile True: held.append(bytes(1 << 28))",
        says="out of memory (limit 3 GiB)", hint="--memory",
    ),
    Hostile("input()", "input('your name? ')", says="importing {name} raised EOFError", hint="opscan check --in-process"),
    Hostile("breakpoint()", forward="breakpoint()", says="", hint="opscan check --in-process"),
)  # fmt: skip
"""What ends a process, or the look at the target."""

HANGS = (
    Hostile("a sleep in a forward", forward="import time; time.sleep(1000)", says="timed out after 3 s at {name}.py:11"),
    Hostile(
        "a loop that ignores SIGTERM, SIGINT and SIGALRM",
        """
import signal
for each in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
    signal.signal(each, signal.SIG_IGN)
while True: pass
""",
        says="timed out after 3 s at {name}.py:21",
    ),
    Hostile(
        "a deadlock in an import",
        """
import threading
lock = threading.Lock()
lock.acquire()
lock.acquire()
""",
        says="timed out after 3 s at {name}.py:21",
    ),
    Hostile(
        "a __repr__ that hangs",
        "import time\nclass Slow:\n    def __repr__(self): time.sleep(1000)\nraise ValueError(Slow())",
        says="timed out after 3 s at {name}.py:20",
    ),
)  # fmt: skip
"""What never comes to an end."""

STAYERS = (
    Hostile(
        "children and grandchildren in sessions of their own",
        """
import os, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        for _ in range(3):
            if os.fork() == 0:
                os.setsid()
                time.sleep(1000)
        time.sleep(1000)
""",
    ),
    Hostile(
        "a program that it starts", "import subprocess; subprocess.Popen(['sleep', '1000'], start_new_session=True)"
    ),
    Hostile("a fork that goes on as its parent does", "import os\nos.fork()\nos.fork()"),
    Hostile(
        "threads that never end",
        """
import threading, time
for daemon in (True, False):
    threading.Thread(target=time.sleep, args=(1000,), daemon=daemon).start()
""",
    ),
    Hostile("an atexit hook that hangs", "import atexit, time; atexit.register(time.sleep, 1000)"),
    Hostile("a __del__ that hangs at exit", "import time\nclass Sticky:\n    def __del__(self): time.sleep(1000)\nx = Sticky()"),
)  # fmt: skip
"""What would outlive the look at it."""

TALKERS = (
    Hostile(
        "gigabytes on stdout and stderr",
        "import sys\nfor _ in range(150):\n    print('x' * 10**6)\n    print('y' * 10**6, file=sys.stderr)",
    ),
    Hostile(
        "writing to stdout from C",
        "import ctypes\nlibc = ctypes.CDLL(None)\nlibc.printf(b'{\"schema\": 9}\\n'); libc.fflush(None)\nlibc.write(1, b'[', 1)",
    ),
    Hostile("escape sequences", "print('\\x1b[2J\\x1b]0;title\\x07')"),
    Hostile("closing stdin, stdout and stderr", "import os\nfor each in range(3): os.close(each)"),
    Hostile("closing every file", "import os; os.closerange(0, 200)", says="ended its process with exit status 0"),
    Hostile("replacing sys.stdout and sys.stderr", "import sys; sys.stdout = sys.stderr = None"),
    Hostile(
        "writing into every pipe",
        "import os\nfor each in range(3, 200):\n    try: os.write(each, b'\\xff' * 64)\n    except OSError: pass",
        says="handed in more than any report takes",
    ),
    Hostile(
        "writing a result of its own",
        """
import os, time
for each in range(3, 200):
    try: os.write(each, (9).to_bytes(8, "little") + b"value\\n[9]")
    except OSError: pass
time.sleep(1000)
""",
        says="handed in what is no result (no Report)",
    ),
)  # fmt: skip
"""What writes where opscan does."""

MEDDLERS = (
    Hostile("replacing torch.Tensor.__add__", "torch.Tensor.__add__ = None"),
    Hostile(
        "replacing torch.nn.Module.__call__", "nn.Module.__call__ = lambda self, *args: 7", says="", hint="",
    ),
    Hostile("replacing torch.load", "torch.load = None"),
    Hostile("replacing print and open", "import builtins; builtins.print = builtins.open = None"),
    Hostile("replacing json.dumps", "import json; json.dumps = json.loads = None"),
    Hostile("emptying sys.modules", "import sys; sys.modules.clear()", says=""),
    Hostile(
        "deleting opscan's modules",
        "import sys\nfor each in list(sys.modules):\n    if each.startswith('opscan'): del sys.modules[each]",
        says="",
    ),
    Hostile("emptying sys.path", "import sys; sys.path.clear()"),
    Hostile("another folder and an empty environment", "import os; os.chdir('/'); os.environ.clear()"),
    Hostile("next to no recursion", "import sys; sys.setrecursionlimit(70)", says=""),
    Hostile("warnings as errors", "import warnings; warnings.simplefilter('error'); warnings.filters = []"),
    Hostile("no garbage collection", "import gc; gc.disable(); gc.set_threshold(1)"),
    Hostile("no faulthandler", "import faulthandler; faulthandler.disable(); faulthandler.cancel_dump_traceback_later()"),
    Hostile("signal handlers", "import signal\nfor each in (1, 2, 14, 15): signal.signal(each, lambda *_: 1 / 0)"),
    Hostile("a module-level __getattr__ that raises", "def __getattr__(name): raise RuntimeError(name)"),
    Hostile("a __getattr__ that raises", "def get(self, name): raise RuntimeError(name)\nNet.__getattr__ = get", says=""),
    Hostile("a __repr__ that raises", "def shown(self): raise RuntimeError\nNet.__repr__ = shown"),
    Hostile("a property that raises", "def get(self): raise RuntimeError\nNet.loss = Net.config = property(get)", says=""),
    Hostile(
        "a metaclass that raises",
        "class Meta(type):\n    def __getattribute__(cls, name): raise RuntimeError(name)\nclass Net(nn.Module, metaclass=Meta): pass",
        says="",
    ),
    Hostile("a __deepcopy__ that raises", "def copy(self, memo): raise RuntimeError\nNet.__deepcopy__ = copy"),
    Hostile(
        "a name that runs code when it is unpickled",
        """
import os
class Bomb(str):
    def __reduce__(self): return os._exit, (9,)
Net.__name__ = Net.__qualname__ = Bomb("Net")
first = Net.__init__
def build(self):
    first(self)
    self._modules = {Bomb("layer"): self._modules["layer"]}
Net.__init__ = build
""",
    ),
)  # fmt: skip
"""What changes Python, torch or opscan around it."""

TABLES = {
    "Ending": ENDINGS,
    "Never ending": HANGS,
    "Staying behind": STAYERS,
    "Writing": TALKERS,
    "Meddling": MEDDLERS,
}

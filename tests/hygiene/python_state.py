"""What can be observed of Python in this process."""

from __future__ import annotations

import atexit
import decimal
import faulthandler
import gc
import linecache
import locale
import logging
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from tests.hygiene.belongings import digest
from tests.hygiene.snapshot import Most, Names, Same, Upto, facet

_OWN = ("opscan", "torch", "tests")


@facet("warnings", "filters, how a warning is shown, and what every module has been warned of")
def _warnings() -> Any:
    known = {
        (name, str(key))
        for name, each in list(sys.modules.items())
        for key in getattr(each, "__dict__", {}).get("__warningregistry__") or ()
        if key != "version"
    }
    return {
        "filters": list(warnings.filters),
        "filters are": Same(warnings.filters),
        "shown by": (Same(warnings.showwarning), Same(warnings._showwarnmsg_impl), Same(warnings.formatwarning)),
        "warned of": Upto(known),  # Python empties these when filters change
    }


@facet("environment", "environment variables, current directory, umask, arguments, resource limits")
def _environment() -> Any:
    status = Path("/proc/self/status").read_text() if Path("/proc/self/status").exists() else ""
    limits = [each for each in dir(resource) if each.startswith("RLIMIT_")]
    return {
        "variables": dict(os.environ),
        "directory": os.getcwd(),
        "umask": [line for line in status.splitlines() if line.startswith("Umask")],
        "arguments": list(sys.argv),
        "limits": {each: resource.getrlimit(getattr(resource, each)) for each in limits},
    }


@facet(
    "imports",
    "sys.path, finders, hooks, and the modules that were imported, by identity; new ones only of opscan and torch",
)
def _imports() -> Any:
    return {
        "path": list(sys.path),
        "path is": Same(sys.path),
        "finders": list(map(Same, sys.meta_path)),
        "hooks": list(map(Same, sys.path_hooks)),
        "modules": {name: Same(each) for name, each in sys.modules.items() if name.partition(".")[0] not in _OWN},
        "writes bytecode": sys.dont_write_bytecode,
    }


@facet("streams", "stdin, stdout, stderr, open file descriptors")
def _streams() -> Any:
    descriptors = {}
    for each in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
        try:
            descriptors[int(each)] = os.readlink(f"/proc/self/fd/{each}")
        except OSError:  # that of the listing itself
            continue
    return {
        "streams": [Same(getattr(sys, name)) for name in ("stdin", "stdout", "stderr", "__stdout__", "__stderr__")],
        "descriptors": descriptors,
    }


@facet(
    "interpreter", "trace and profile functions, recursion limit, hooks of sys, faulthandler, context, exits registered"
)
def _interpreter() -> Any:
    hooks = ("excepthook", "displayhook", "unraisablehook", "breakpointhook")
    return {
        "trace": (
            Same(sys.gettrace()),
            Same(sys.getprofile()),
            Same(threading.gettrace()),
            Same(threading.getprofile()),
        ),
        "recursion": sys.getrecursionlimit(),
        "switching": sys.getswitchinterval(),
        "hooks": {name: Same(getattr(sys, name)) for name in (*hooks,)} | {"thread": Same(threading.excepthook)},
        "faults": faulthandler.is_enabled(),
        "at exit": atexit._ncallbacks(),
        "builtins": Names(vars(sys.modules["builtins"])),
        "digits": sys.get_int_max_str_digits(),
        "decimal": (decimal.getcontext().prec, decimal.getcontext().rounding),
    }


@facet("signals", "handlers of all signals, the alarm")
def _signals() -> Any:
    return {
        each.name: Same(signal.getsignal(each)) for each in signal.valid_signals() if isinstance(each, signal.Signals)
    } | {"alarm": signal.getitimer(signal.ITIMER_REAL)}


@facet("locale", "the locale, and how numpy prints and reacts to errors")
def _locale() -> Any:
    return {"locale": locale.setlocale(locale.LC_ALL), "numpy": (np.geterr(), np.get_printoptions())}


@facet("threads", "threads, child processes, how multiprocessing starts them")
def _threads() -> Any:
    children: list[str] = []
    for each in Path("/proc/self/task").glob("*/children"):
        children += each.read_text().split()
    return {
        "threads": sorted(str(each.ident) for each in threading.enumerate()),
        "children": sorted(children),
        "workers": len(multiprocessing.active_children()),
        "start": multiprocessing.get_start_method(allow_none=True),
    }


@facet("logging", "levels, handlers and switches of all loggers")
def _logging() -> Any:
    known = {name: each for name, each in logging.root.manager.loggerDict.items() if isinstance(each, logging.Logger)}
    set_up = {
        name: each for name, each in known.items() if each.level or each.handlers or each.disabled or each.filters
    }
    return {"disabled": logging.root.manager.disable, "class": logging.getLoggerClass()} | {
        name: (each.level, list(map(Same, each.handlers)), each.propagate, each.disabled, list(map(Same, each.filters)))
        for name, each in {"root": logging.root, **set_up}.items()
    }


@facet("garbage collector", "on or off, thresholds, callbacks, what is frozen, debug flags")
def _collector() -> Any:
    return {
        "on": gc.isenabled(),
        "thresholds": gc.get_threshold(),
        "callbacks": list(map(Same, gc.callbacks)),
        "frozen": Most(gc.get_freeze_count()),
        "debug": gc.get_debug(),
    }


@facet("source lines", "what linecache holds of sources that are in no file")
def _lines() -> Any:
    return {name: Same(each) for name, each in linecache.cache.items() if name.startswith("<")}


@facet("files", "names, times, modes and contents in the folder for temporary files, and in those below it")
def _files() -> Any:
    found = {}
    for path in sorted(Path(tempfile.gettempdir()).rglob("*")):
        stat = path.stat()
        found[str(path)] = stat.st_mtime_ns, stat.st_mode, digest(path.read_bytes()) if path.is_file() else ""
    return found

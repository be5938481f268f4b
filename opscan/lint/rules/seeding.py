"""OPL20x: what is seeded, and with what."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from opscan.lint.finding import Hit
from opscan.lint.module import Module
from opscan.lint.records import Call
from opscan.lint.rule import rule
from opscan.lint.scopes import Frame
from opscan.lint.seeds import DRAWS, MENTIONED, SEEDERS, is_seeder_by_name, seed_argument, seed_calls

_HOW = {"torch": "torch.manual_seed", "numpy": "np.random.seed", "random": "random.seed"}
_ORDER = ("torch", "cuda", "numpy", "random", "tf")
_CLOCKS = ("time.", "datetime.", "os.getpid", "os.urandom", "uuid.", "secrets.", "random.SystemRandom", "os.getppid")
_NOT_CLOCKS = ("time.sleep", "datetime.timedelta", "uuid.uuid5", "uuid.uuid3", "uuid.UUID")
_TAKES_SEED = (
    *SEEDERS, "numpy.random.default_rng", "numpy.random.RandomState", "numpy.random.SeedSequence", "random.Random",
    "torch.seed",
)  # fmt: skip
_DRAW_INSIDE = ("torch.utils.data.DataLoader", "torch.nn.init.", "torch.nn.Linear", "torch.nn.Conv")
_FROM_ENTROPY = ("numpy.random.seed", "random.seed", "torch.seed", "torch.cuda.seed", "torch.cuda.seed_all")


@rule("OPL201", "generators-unseeded", "warning", [MENTIONED])
def generators_unseeded(module: Module) -> Iterator[Hit]:
    """Some generators are seeded, and others that the file draws from are not."""
    seeds = seed_calls(module)
    if not seeds:
        return
    seeded = frozenset().union(*(each.generators for each in seeds))
    first = next((each for each in seeds if each.direct), seeds[0])
    for generator, how in _HOW.items():
        if generator in seeded or (generator == "torch" and "cuda" not in seeded):
            continue
        drawn = _first_draw(module, generator)
        if drawn is not None:
            names = " and ".join(each for each in _ORDER if each in seeded)
            message = (
                f"seeds {names}, but `{drawn.name}` in line {drawn.node.lineno} draws from a generator it does not"
            )
            yield Hit(first.call.node, message, f"{how}(seed) beside it")


def _first_draw(module: Module, generator: str) -> Call | None:
    """The first draw from a generator of the process that no argument replaces."""
    found = [
        call
        for name in module.called_names
        if DRAWS.get(name) == generator or (generator == "torch" and name.startswith(_DRAW_INSIDE))
        for call in module.calls(name)
        if call.keyword("generator") is None and _draws(module, call)
    ]
    return min(found, key=lambda call: call.at, default=None)


def _draws(module: Module, call: Call) -> bool:
    if call.name.startswith("torch.utils.data."):
        return module.literal(call.argument("shuffle", 2), call.frame) is True
    return True


@rule(
    "OPL202",
    "seed-from-clock",
    "warning",
    ["seed or default_rng or RandomState or random", "time or pid or uuid or urandom or secrets"],
)
def seed_from_clock(module: Module) -> Iterator[Hit]:
    """A seed made of the time, the process or the system's entropy."""
    for call, seed in _seeded(module):
        for each in ast.walk(module.value_of(seed, call.frame)):
            if isinstance(each, ast.Call):
                name = module.resolve(each.func, call.frame) or ""
                if name.startswith(_CLOCKS) and name not in _NOT_CLOCKS:
                    message = f"the seed comes from `{name}`: every run has another, and none can be repeated"
                    yield Hit(seed, message, "a number, or an argument that is written down with the results")
                    break


def _seeded(module: Module) -> Iterator[tuple[Call, ast.expr]]:
    """Calls that take a seed, with it."""
    for name in module.called_names:
        if name in _TAKES_SEED or is_seeder_by_name(name):
            for call in module.calls(name):
                seed = seed_argument(call)
                if seed is not None:
                    yield call, seed
    for call in module.methods("manual_seed", "seed", "seed_everything"):
        if call.node.args:
            yield call, call.node.args[0]


@rule("OPL203", "seed-from-entropy", "warning", [MENTIONED])
def seed_from_entropy(module: Module) -> Iterator[Hit]:
    """`random.seed()`: called without a seed it takes one from the system."""
    for call in module.calls(*_FROM_ENTROPY):
        if call.is_open:
            continue
        given = seed_argument(call)
        if given is None or module.literal(given, call.frame) is None:
            message = f"`{call.name}` without a number seeds from the system: every run has another seed"
            yield Hit(call.node, message, "hand in a number")


@rule("OPL204", "hash-as-seed", "warning", ["hash", "seed or default_rng or RandomState or Random"])
def hash_as_seed(module: Module) -> Iterator[Hit]:
    """A seed made with hash(), which differs from process to process for texts."""
    for call, seed in _seeded(module):
        value = module.value_of(seed, call.frame)
        for each in ast.walk(value):
            if not isinstance(each, ast.Call) or module.resolve(each.func, call.frame) != "hash" or not each.args:
                continue
            if not _is_number(module, each.args[0], call.frame):
                message = "hash() of a text is salted: it differs from process to process"
                fix = "zlib.crc32(text.encode()), or PYTHONHASHSEED=0 before Python starts"
                yield Hit(seed, message, fix)
                break


def _is_number(module: Module, node: ast.expr, frame: Frame) -> bool:
    if isinstance(node, ast.Tuple):
        return all(_is_number(module, each, frame) for each in node.elts)
    value = module.literal(node, frame)
    return isinstance(value, int | float)

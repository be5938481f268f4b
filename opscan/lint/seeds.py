"""Where a file seeds which generators, and where it draws from them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from opscan.lint.module import Module
from opscan.lint.records import Call

ALL = frozenset(("torch", "cuda", "numpy", "random", "tf"))
_TORCH = frozenset(("torch", "cuda"))
_THREE = frozenset(("torch", "cuda", "numpy", "random"))
SEEDERS: dict[str, frozenset[str]] = {
    "torch.manual_seed": _TORCH,
    "torch.cuda.manual_seed": frozenset(("cuda",)),
    "torch.cuda.manual_seed_all": frozenset(("cuda",)),
    "numpy.random.seed": frozenset(("numpy",)),
    "random.seed": frozenset(("random",)),
    "tensorflow.random.set_seed": frozenset(("tf",)),
    "keras.utils.set_random_seed": ALL,
    "lightning.pytorch.seed_everything": _THREE,
    "torch_geometric.seed_everything": _THREE,
    "torch_geometric.seed.seed_everything": _THREE,
    "transformers.set_seed": ALL,
    "transformers.enable_full_determinism": ALL,
    "transformers.trainer_utils.set_seed": ALL,
    "accelerate.utils.set_seed": ALL,
    "monai.utils.set_determinism": _THREE,
    "timm.utils.random_seed": _THREE,
    "torch.set_rng_state": _TORCH,
    "torch.random.set_rng_state": _TORCH,
    "torch.cuda.set_rng_state": frozenset(("cuda",)),
    "numpy.random.set_state": frozenset(("numpy",)),
    "random.setstate": frozenset(("random",)),
}
"""What each function seeds. torch.manual_seed seeds the generators of all devices (its docs)."""
_SEEDS = re.compile(
    r"(^|_)(re)?seed(s|_|$)|seed_?(all|everything|every)|set_?seed|determinis|reproducib", re.IGNORECASE
)
MENTIONED = r"~seed\w*\s*\( or ~seed\w*\s+as\b or ~seed\w*\s*\n or ~eterminis\w*\s*\( or ~eproducib\w*\s*\("
"""What stands in every file that seeds (see `rule.rule`): a call of such a function, or another name for it."""
_KNOWN = ("torch.", "numpy.", "random.", "tensorflow.", "keras.", "sklearn.", "jax.")
"""Of these the functions that seed are in the table; others only have a word of it in their names."""
_NUMPY_DRAWS = frozenset((
    "beta", "binomial", "bytes", "chisquare", "choice", "dirichlet", "exponential", "f", "gamma", "geometric",
    "gumbel", "hypergeometric", "laplace", "logistic", "lognormal", "logseries", "multinomial",
    "multivariate_normal", "negative_binomial", "normal", "pareto", "permutation", "poisson", "power", "rand",
    "randint", "randn", "random", "random_integers", "random_sample", "ranf", "rayleigh", "sample", "shuffle",
    "standard_cauchy", "standard_exponential", "standard_gamma", "standard_normal", "standard_t", "triangular",
    "uniform", "vonmises", "wald", "weibull", "zipf",
))  # fmt: skip
_RANDOM_DRAWS = frozenset((
    "betavariate", "binomialvariate", "choice", "choices", "expovariate", "gammavariate", "gauss", "getrandbits",
    "lognormvariate", "normalvariate", "paretovariate", "randbytes", "randint", "random", "randrange", "sample",
    "shuffle", "triangular", "uniform", "vonmisesvariate", "weibullvariate",
))  # fmt: skip
_TORCH_DRAWS = frozenset((
    "rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like", "bernoulli", "multinomial",
    "normal", "poisson",
))  # fmt: skip
DRAWS: dict[str, str] = {
    **{f"numpy.random.{each}": "numpy" for each in _NUMPY_DRAWS},
    **{f"random.{each}": "random" for each in _RANDOM_DRAWS},
    **{f"torch.{each}": "torch" for each in _TORCH_DRAWS},
}
"""Functions that draw from a generator of the whole process, and which."""


class SeedCall(NamedTuple):
    """A call that seeds `generators`; `seed` is its argument, None where none is given."""

    call: Call
    generators: frozenset[str]
    seed: ast.expr | None
    direct: bool
    """Whether the generators are seeded right there, and not by a function of which only the name is known."""

    @property
    def restores(self) -> bool:
        """Whether a state that was kept before is put back, rather than a number made a seed."""
        return self.call.name.endswith("state")


def seed_calls(module: Module) -> list[SeedCall]:
    """All calls that seed generators of the whole process, by position; those of DataLoader workers left out."""
    if "seeds" not in module.cache:
        found = sorted(_seed_calls(module), key=lambda each: each.call.at)
        workers = worker_functions(module)
        module.cache["seeds"] = [each for each in found if each.call.frame.function not in workers]
    seeds: list[SeedCall] = module.cache["seeds"]
    return seeds


def _seed_calls(module: Module) -> Iterator[SeedCall]:
    helpers: dict[str, frozenset[str]] = {}
    for name in module.called_names:
        known = SEEDERS.get(name)
        for call in module.calls(name):
            if known is not None:
                yield SeedCall(call, known, seed_argument(call), True)
            elif name.startswith("@"):
                if name not in helpers:
                    helpers[name] = seeded_by(module, name[1:], frozenset())
                if helpers[name]:
                    yield SeedCall(call, helpers[name], seed_argument(call), False)
            elif is_seeder_by_name(name):
                yield SeedCall(call, ALL, seed_argument(call), False)
    for call in module.methods("seed_everything", "set_seed", "seed_all", "set_seeds"):
        yield SeedCall(call, ALL, seed_argument(call), False)


def is_seeder_by_name(name: str) -> bool:
    """Whether a function of another module seeds, as far as its name tells."""
    if name.startswith(_KNOWN):
        return False
    last = name.rpartition(".")[2]
    return (
        _SEEDS.search(last) is not None and not last[:1].isupper() and not last.startswith(("get_", "initial_", "is_"))
    )


def seeded_by(module: Module, function: str, seen: frozenset[str]) -> frozenset[str]:
    """What a function of the file seeds, directly or through others."""
    node = module.function_named(function)
    if node is None or function in seen:
        return frozenset()
    found: frozenset[str] = frozenset()
    for call in module.calls_in(node):
        if call.name in SEEDERS:
            found |= SEEDERS[call.name]
        elif call.name.startswith("@"):
            found |= seeded_by(module, call.name[1:], seen | {function})
        elif call.name and is_seeder_by_name(call.name):
            found |= ALL
    return found


def seed_argument(call: Call) -> ast.expr | None:
    """The seed that is handed in."""
    for name in ("seed", "a", "x", "new_state", "random_state"):
        given = call.keyword(name)
        if given is not None:
            return given
    return call.node.args[0] if call.node.args else None


def worker_functions(module: Module) -> set[ast.AST | None]:
    """The functions that run in DataLoader workers: those handed in as worker_init_fn, and those that say so."""
    if "workers" in module.cache:
        known: set[ast.AST | None] = module.cache["workers"]
        return known
    found: set[ast.AST | None] = {node for node, _ in module.functions if "worker" in node.name}
    for call in module.every_call:
        given = call.keyword("worker_init_fn")
        if isinstance(given, ast.Name):
            found.add(module.function_named(given.id))
        elif isinstance(given, ast.Lambda):
            found.add(given)
    found.discard(None)
    module.cache["workers"] = found
    return found


def wants_repeats(module: Module) -> bool:
    """Whether the file shows that its runs are meant to repeat: it seeds, or asks for deterministic algorithms."""
    if "wants" not in module.cache:
        module.cache["wants"] = bool(
            seed_calls(module)
            or any(module.calls("torch.use_deterministic_algorithms", "torch.set_deterministic"))
            or "torch.use_deterministic_algorithms" in module.settings
            or any(
                module.literal(each.value, each.frame) is True
                for each in module.settings.get("torch.backends.cudnn.deterministic", ())
            )
        )
    wants: bool = module.cache["wants"]
    return wants

"""Words as a user may type them after `opscan check`: targets, --input and --init, right, nearly right, and neither."""

from __future__ import annotations

from random import Random

_MODULES = ("torch.nn", "math", "nowhere", "tests.fuzz", "collections")
_ZOO = ("tests.fuzz.zoo", "tests/fuzz/zoo.py")
_KNOWN = (
    "Net", "Net", "Words", "Words", "Raises", "make", "step", "leaves", "model", "MODELS['small']", 'MODELS["ways"][0]',
)  # fmt: skip
_OTHER = (
    "MODELS[9]", "NUMBER", "NOTHING", "refuses", "refuses.x", "Net.forward", "Linear", "Conv2d", "Module", "sqrt",
    "OrderedDict", "None", "__name__", "Nett",
)  # fmt: skip
_NUMBERS = ("0", "1", "2", "3", "7", "-1", "65", "1" * 30, "9" * 5000, "²", "\u0663", "1e3", "")
_VALUES = ("None", "True", "'zeros'", "'init'", '"replicate"', "b''", "...", "torch", "x", "2", "3")
_ODD = "ab.:/\\()[]'\"=,*<x0-é²\x00\n\x1b\ud800 ~"
_SHAPES = ("scalar", "2x3x8x8", "2x3x8x8", "2x5", "3x3", "99999999999x99999999999", "65536x65536x16", "0x3", "0")
_DTYPES = ("", "", "", "int64:", "int64:", "float32:", "bool:", "bfloat16:", "complex64:", "int8:", "half:")
_NAMES = ("", "", "", "x=", "ids=", "mask=", "batch=", "1=", "é=")
_FLAGS = (
    ("--mode", "eval"), ("--loss", "cross_entropy"), ("--loss", "sum"), ("--loss", "math:sqrt"), ("--amp", "bf16"),
    ("--device", "cpu", "--no-run"), ("--torch", "1.8.1"), ("--torch", "99"), ("--torch", "x"), ("--strict",),
    ("--format", "json"), ("--format", "sarif"), ("--show", "all"), ("--trace-device", "cpu"), ("--no-input-grad",),
    ("--rules", "/nowhere"), ("--fail-on", "raises"), ("--inputs", "tests.fuzz.zoo:make"), ("--verbose",),
    ("--inputs", "tests.fuzz.zoo:NUMBER"), ("--world-size", "2"), ("--quiet",), ("--cost",), ("--color", "always"),
)  # fmt: skip


def target(random: Random) -> str:
    """`pkg.mod:Name`, `file.py:Name(3)` and the like."""
    module = random.choice(_ZOO if random.random() < 0.8 else _MODULES)
    name = random.choice(_KNOWN if random.random() < 0.75 else _OTHER)
    call = random.choice(("", "", "()", "(2)", "(width=2)", "('init')", _arguments(random)))
    return _edited(f"{module}:{name}{call}", random)


def input_word(random: Random) -> str:
    """A word of --input."""
    shape = "x".join(random.choices(_NUMBERS, k=random.randrange(1, 4))) if random.random() < 0.2 else ""
    ends = ("", "", "", f"<{random.choice(_NUMBERS)}", f"={random.choice(_NUMBERS)}*{random.choice(_NUMBERS)},1", "<9")
    parts = random.choice(_NAMES), random.choice(_DTYPES), shape or random.choice(_SHAPES), random.choice(ends)
    return _edited("".join(parts), random)


def init_word(random: Random) -> str:
    """A word of --init."""
    equals = random.choice(("=", "=", "=", "=", ""))
    return _edited(f"{random.choice(('width', 'width', 'kind', 'when', 'no'))}{equals}{_literal(random)}", random)


def command(random: Random) -> list[str]:
    """A whole command line."""
    words = ["check", "--in-process", target(random)]
    for _ in range(random.choice((0, 0, 1, 1, 2))):
        words += ["--input", input_word(random)]
    for _ in range(random.choice((0, 0, 0, 1))):
        words += ["--init", init_word(random)]
    for each in random.sample(_FLAGS, random.choice((0, 1, 1, 2))):
        words += each
    return words


def _edited(word: str, random: Random) -> str:
    """The word, now and then with something odd put into it, or with a part taken out."""
    if random.random() < 0.85:
        return word
    at = random.randrange(len(word) + 1)
    return word[:at] + "".join(random.choices(_ODD, k=random.randrange(4))) + word[at + random.randrange(3) :]


def _arguments(random: Random) -> str:
    names = ("", "", "width=", "kind=", "when=", "*", "**", "é=")
    given = [random.choice(names) + _literal(random) for _ in range(random.randrange(4))]
    return f"({', '.join(given)})"


def _literal(random: Random, depth: int = 2) -> str:
    if depth == 0 or random.random() < 0.6:
        return random.choice(_VALUES if random.random() < 0.7 else _NUMBERS)
    inner = [_literal(random, depth - 1) for _ in range(random.randrange(3))]
    first = inner[0] if inner else "1"
    forms = (f"[{', '.join(inner)}]", f"({', '.join(inner)},)", f"{{{first}: {first}}}", f"-{first}", "{" + first + "}")
    return random.choice((*forms, "(" * 150 + first + ")" * 150, "[" * 3000 + "]" * 3000))

"""OPL40x: dropout that does not know whether the model trains."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from opscan.lint.edits import with_keyword
from opscan.lint.finding import Hit
from opscan.lint.module import Module
from opscan.lint.questions import is_neural, tests_around, words_of
from opscan.lint.records import Call
from opscan.lint.rule import rule

_FUNCTIONS = tuple(
    f"torch.nn.functional.{each}"
    for each in ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")
)
_USED = (
    r"alpha_dropout or ~functional\s+import or ~\.\s+dropout"
    r" or ~dropout(?<=\.dropout)(?<!self\.dropout)\d?d?\b(?!\s*\([^()#]*\btraining\s*=\s*(?!True))"
)
"""F.dropout by any name, as an attribute of something other than self or imported; not where training= follows."""
_ATTENTION = "torch.nn.functional.scaled_dot_product_attention"


@rule("OPL401", "dropout-always-on", "error", ["functional", _USED])
def dropout_always_on(module: Module) -> Iterator[Hit]:
    """`F.dropout(x)`, which stays on after model.eval()."""
    for call in module.calls(*_FUNCTIONS):
        if call.is_open or call.argument("training", 2) is not None or _only_in_training(call):
            continue
        if module.literal(call.argument("p", 1), call.frame) == 0:
            continue
        edits = with_keyword(module, call.node, "training=self.training") if _in_model(module, call) else ()
        message = f"`{_short(call)}` without training= is always on, also after model.eval()"
        yield Hit(call.node, message, "training=self.training", edits)


@rule("OPL402", "dropout-training-constant", "warning", ["functional", _USED, "True"])
def dropout_training_constant(module: Module) -> Iterator[Hit]:
    """`F.dropout(x, training=True)`."""
    for call in module.calls(*_FUNCTIONS):
        given = call.argument("training", 2)
        if given is None or module.literal(given, call.frame) is not True or _only_in_training(call):
            continue
        if _is_explained(module, call):
            continue
        message = f"`{_short(call)}` with training=True is on in eval mode too (Monte Carlo dropout draws at inference)"
        yield Hit(given, message, "training=self.training, or `# noqa: OPL402` where it is meant")


@rule("OPL403", "attention-dropout-always-on", "error", ["scaled_dot_product_attention", r"~dropout_p\s*=\s*[\d.]"])
def attention_dropout_always_on(module: Module) -> Iterator[Hit]:
    """`scaled_dot_product_attention(..., dropout_p=0.1)`, which knows nothing of eval mode."""
    for call in module.calls(_ATTENTION):
        given = call.keyword("dropout_p")
        if given is None or call.is_open or _only_in_training(call):
            continue
        if isinstance(given, ast.Constant) and isinstance(given.value, float) and given.value > 0:
            value = given.value
            message = f"dropout_p={value} is always on: scaled_dot_product_attention does not look at model.eval()"
            yield Hit(given, message, f"dropout_p={value} if self.training else 0.0")


def _only_in_training(call: Call) -> bool:
    """Whether the call is reached only while training, as its conditions or the function's name say."""
    tests = [*tests_around(call.frame), *_conditional_expressions(call)]
    if any(any("train" in word.lower() for word in words_of(test)) for test in tests):
        return True
    function = call.frame.function
    return function is not None and any(word in function.name.lower() for word in ("train", "mc_", "monte_carlo"))


def _is_explained(module: Module, call: Call) -> bool:
    """Whether a comment beside the call or above its statement says that eval mode is known of."""
    first, last = call.statement.lineno, call.node.end_lineno or call.node.lineno
    comments = [line.partition("#")[2] for line in module.lines[max(first - 2, 0) : last]]
    return any(word in comment.lower() for comment in comments for word in ("train", "eval", "monte", "mc ", "infer"))


def _conditional_expressions(call: Call) -> Iterator[ast.expr]:
    for each in ast.walk(call.statement):
        if isinstance(each, ast.IfExp) and any(inner is call.node for inner in ast.walk(each)):
            yield each.test


def _in_model(module: Module, call: Call) -> bool:
    function = call.frame.function
    home = call.frame.class_of_method
    if function is None or home is None or not is_neural(module, home) or function not in home.body:
        return False
    return bool(function.args.args) and function.args.args[0].arg == "self"


def _short(call: Call) -> str:
    return f"F.{call.name.rpartition('.')[2]}"

"""OPL90x: ops that may be nondeterministic on a GPU; `opscan check` sees sizes and dtypes, and judges better."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from opscan.lint.finding import Hit
from opscan.lint.gradients import in_model, with_backward
from opscan.lint.module import Module
from opscan.lint.questions import words_of
from opscan.lint.records import Call
from opscan.lint.rule import rule
from opscan.lint.rules.model import drawn_in_forward

_CHECK = "opscan check says whether it varies in your model"
_NN = "torch.nn."
_F = "torch.nn.functional."
_BORDERS = ("replicate", "reflect")


_INTEGERS = frozenset(
    ("int", "int8", "int16", "int32", "int64", "long", "uint8", "arange", "ids", "pos_ids", "indices")
)

_ONES = frozenset(("one", "ones", "ones_like", "new_ones"))


def _hit(call: Call, what: str) -> Hit:
    return Hit(call.node, f"{what}; {_CHECK}", "opscan check MODULE:MODEL")


def _adds_exactly(module: Module, call: Call) -> bool:
    """Whether what is added is seen to be integers, ones or a mask, whose sums are the same in any order."""
    source = call.keyword("src") or call.keyword("source") or next(iter(call.node.args[-1:]), None)
    if source is None:
        return False
    words = words_of(source)
    found = call.frame.scope.find(source.id) if isinstance(source, ast.Name) else None
    for binding in found[1] if found else ():
        words |= words_of(binding.value) if binding.value is not None else set()
    return bool(words & _INTEGERS) or any("mask" in word or word in _ONES for word in words)


def _is_chosen_once(call: Call) -> bool:
    """Whether the indices are the tokens of one expert, from a one-hot table: none are equal."""
    index, function = call.argument("index", 2 if call.name else 1), call.frame.function
    if function is None or not isinstance(index, ast.Name):
        return False
    assigned = [each for each in ast.walk(function) if isinstance(each, ast.Assign)]
    found = [each for each in assigned if index.id in _stored(each)]
    tables = [_table_of(each, index.id) for each in found]
    return bool(found) and all(
        table and any("one_hot" in words_of(each.value) for each in assigned if table in _stored(each))
        for table in tables
    )


def _table_of(node: ast.Assign, index: str) -> str:
    """The table in `choice, index = torch.where(table[expert])`, where index comes last; "" for anything else."""
    target, value = node.targets[0], node.value
    if not (isinstance(target, ast.Tuple) and isinstance(target.elts[-1], ast.Name) and target.elts[-1].id == index):
        return ""
    if not (isinstance(value, ast.Call) and words_of(value.func) & {"where", "nonzero"}):
        return ""
    rows = [each.value for each in ast.walk(value) if isinstance(each, ast.Subscript)]
    return next((each.id for each in rows if isinstance(each, ast.Name)), "")


def _stored(node: ast.Assign) -> set[str]:
    return {each.id for target in node.targets for each in ast.walk(target) if isinstance(each, ast.Name)}


@rule("OPL901", "padding-backward", "info", ["replicate or reflect or ReplicationPad or ReflectionPad"])
def padding_backward(module: Module) -> Iterator[Hit]:
    """padding_mode="replicate" and "reflect"."""
    layers = [
        f"{_NN}{kind}{size}d" for kind in ("Conv", "LazyConv", "ReplicationPad", "ReflectionPad") for size in "123"
    ]
    for call in with_backward(module, module.calls(*layers, f"{_F}pad")):
        if call.name == f"{_F}pad" and any(words_of(each) & _INTEGERS for each in call.node.args[:1]):
            continue
        given = call.argument("mode", 2) if call.name == f"{_F}pad" else call.keyword("padding_mode")
        mode = module.literal(given, call.frame) if given is not None else None
        if mode in _BORDERS or "Pad" in call.name:
            yield _hit(call, f"`{call.name.rpartition('.')[2]}` adds border gradients with atomics on CUDA")


@rule("OPL902", "interpolation-backward", "info", ["interpolate or Upsample or grid_sample"])
def interpolation_backward(module: Module) -> Iterator[Hit]:
    """Linear and cubic interpolation, and grid_sample."""
    names = (f"{_F}interpolate", f"{_NN}Upsample", f"{_F}upsample", f"{_NN}UpsamplingBilinear2d")
    for call in with_backward(module, module.calls(*names)):
        given = call.argument("mode", 3 if call.name == f"{_F}interpolate" else 2)
        mode = module.literal(given, call.frame) if given is not None else "nearest"
        if call.name.endswith("Bilinear2d") or (isinstance(mode, str) and not mode.startswith(("nearest", "area"))):
            yield _hit(call, f"`{call.name.rpartition('.')[2]}` adds gradients with atomics on CUDA")
    for call in with_backward(module, module.calls(f"{_F}grid_sample")):
        yield _hit(call, "`grid_sample` adds gradients with atomics on CUDA")


@rule(
    "OPL903",
    "pooling-backward",
    "info",
    ["Adaptive or adaptive_ or MaxUnpool or max_unpool or Fractional or fractional_ or Pool3d or pool3d"],
)
def pooling_backward(module: Module) -> Iterator[Hit]:
    """Adaptive pooling to more than one cell, fractional and 3d pooling, unpooling."""
    adaptive = [f"{_NN}Adaptive{kind}Pool{size}d" for kind in ("Avg", "Max") for size in "23"]
    adaptive += [f"{_F}adaptive_{kind}_pool{size}d" for kind in ("avg", "max") for size in "23"]
    for call in with_backward(module, module.calls(*adaptive)):
        size = call.argument("output_size", 1 if call.name.startswith(_F) else 0)
        if size is None or not _is_one(module, size, call):
            yield _hit(call, f"`{call.name.rpartition('.')[2]}` adds overlapping windows with atomics on CUDA")
    others = [f"{_NN}{each}" for each in ("MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d", "FractionalMaxPool2d",
                                          "FractionalMaxPool3d", "AvgPool3d", "MaxPool3d")]  # fmt: skip
    others += [f"{_F}{each}" for each in ("max_unpool1d", "max_unpool2d", "max_unpool3d", "fractional_max_pool2d",
                                          "fractional_max_pool3d", "avg_pool3d", "max_pool3d")]  # fmt: skip
    for call in with_backward(module, module.calls(*others)):
        yield _hit(call, f"`{call.name.rpartition('.')[2]}` has no deterministic kernel on CUDA for some sizes")


def _is_one(module: Module, size: ast.expr, call: Call) -> bool:
    if isinstance(size, ast.Name):
        size = _default_of(size.id, call) or size
    size = module.value_of(size, call.frame)
    if isinstance(size, ast.Tuple | ast.List):
        return all(module.literal(each, call.frame) == 1 for each in size.elts)
    return module.literal(size, call.frame) == 1


@rule(
    "OPL904",
    "indexed-additions",
    "info",
    ["index_add or scatter or put_ or bincount or histc or index_reduce or index_put"],
)
def indexed_additions(module: Module) -> Iterator[Hit]:
    """index_add, scatter_add, scatter_reduce, put_, bincount with weights, histc."""
    names = ("index_add", "scatter_add", "scatter_reduce", "index_reduce")
    calls = [*module.calls(*(f"torch.{each}" for each in names))]
    calls += module.methods(*names, *(f"{each}_" for each in names), "put_")
    for call in in_model(module, calls):
        if not (_adds_exactly(module, call) or _is_chosen_once(call)):
            yield _hit(call, f"`{_last(call)}` combines equal indices in any order on CUDA")
    for call in in_model(module, (*module.calls("torch.histc"), *module.methods("histc"))):
        if not _is_cast(module, call):
            yield _hit(call, "`histc` of floats counts with atomics on CUDA, and strict mode raises")
    for call in in_model(module, (*module.calls("torch.bincount"), *module.methods("bincount"))):
        if call.argument("weights", 1 if call.name else 0) is not None:
            yield _hit(call, "`bincount` with weights adds with atomics on CUDA")


def _default_of(name: str, call: Call) -> ast.expr | None:
    """The default of a parameter of the function a call stands in."""
    function = call.frame.function
    if function is None:
        return None
    given = [*function.args.posonlyargs, *function.args.args]
    defaults = dict(zip((each.arg for each in reversed(given)), reversed(function.args.defaults), strict=False))
    return defaults.get(name)


def _is_cast(module: Module, call: Call) -> bool:
    """Whether what is counted is seen to be integers, or made of another type that is not said here."""
    counted = call.argument("input", 0) if call.name else None
    if counted is None:
        return False
    words = words_of(module.value_of(counted, call.frame))
    if isinstance(counted, ast.Name) and call.frame.function is not None:
        for each in ast.walk(call.frame.function):
            if isinstance(each, ast.Assign) and counted.id in _stored(each):
                words |= words_of(each.value)
    return bool(words & (_INTEGERS | {"to"}))


@rule("OPL905", "ties", "info", ["kthvalue or median"])
def ties(module: Module) -> Iterator[Hit]:
    """kthvalue and median along a dimension pick any of several equal values."""
    for call in in_model(module, (*module.calls("torch.kthvalue"), *module.methods("kthvalue"))):
        above = module.parents.get(call.node)
        if isinstance(above, ast.Attribute) and above.attr == "values":
            continue  # the value is the same, whichever of equal ones is picked
        yield _hit(call, "`kthvalue` picks any of several equal values on CUDA")
    for call in in_model(module, module.calls("torch.median", "torch.nanmedian")):
        if call.argument("dim", 1) is not None:
            yield _hit(call, "`median` along a dimension picks any of several equal values on CUDA")


@rule("OPL906", "ctc-loss", "info", ["ctc_loss or CTCLoss"])
def ctc_loss(module: Module) -> Iterator[Hit]:
    """CTC loss."""
    for call in module.calls(f"{_F}ctc_loss", f"{_NN}CTCLoss"):
        yield _hit(call, "the backward of CTC loss adds with atomics on CUDA, unless cuDNN runs it")


@rule("OPL907", "noise-in-forward", "info", ["forward", "rand or normal or bernoulli or poisson or multinomial"])
def noise_in_forward(module: Module) -> Iterator[Hit]:
    """Tensors of noise drawn in forward, in eval mode too."""
    for call in drawn_in_forward(module):
        if call.name.startswith("torch."):
            yield _hit(call, f"`{call.name}` draws in forward, in eval mode too")


def _last(call: Call) -> str:
    return call.name.rpartition(".")[2] or getattr(call.node.func, "attr", "")

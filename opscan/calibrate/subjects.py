"""What is run: the expressions of the rules' cases, and the samples PyTorch tests its own ops with (OpInfo)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from opscan.cases import Case, lacking
from opscan.target.inputs import make_inputs, parse_input

DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)

NOT_REAL = frozenset({"tests.declared"})
"""Modules that declare a package's ops without the package: what such an op computes is made up."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One call to be run in both modes. `dtype` is a sample's."""

    call: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    input_grad: bool = False
    dtype: str | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What gets one row. `trials` makes its calls anew each time, on a device; it raises what stands in their way."""

    name: str
    run: str
    trials: Callable[[torch.device], Iterable[Trial]]
    inputs: Mapping[str, str] = field(default_factory=dict)
    cases: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[object, ...]:
        """As Row.key."""
        return self.run, *sorted(self.inputs.items())


def case_subjects(cases: Sequence[Case]) -> tuple[tuple[Subject, ...], Mapping[str, int]]:
    """A subject for each expression with its inputs, and how many cases cannot be run, by the module they need.

    Cases with a model are about what its constructor does, before there is anything to run.
    """
    same: dict[tuple[Any, ...], list[Case]] = {}
    left_out: dict[str, int] = {}
    for case in (case for case in cases if not case.model):
        obstacle = next(iter((*(set(case.needs) & NOT_REAL), *lacking(case))), None)
        if obstacle is None:
            same.setdefault((case.run, *sorted(case.inputs.items()), case.needs), []).append(case)
        else:
            left_out[obstacle] = left_out.get(obstacle, 0) + 1
    subjects = tuple(_case_subject(found) for found in same.values())
    return subjects, left_out


def _case_subject(cases: list[Case]) -> Subject:
    names = tuple(sorted(f"{case.rule}: {case.name}" for case in cases))
    case = cases[0]
    return Subject(names[0], case.run, lambda device: [case_trial(case)], case.inputs, names)


def case_trial(case: Case) -> Trial:
    """A case's expression as a step. Its own random numbers are the same in every run."""
    for name in case.needs:
        import_module(name)
    code = compile(case.run, f"<{case.rule}: {case.name}>", "eval")
    specs = [parse_input(f"{name}={spec}") for name, spec in case.inputs.items()]

    def step(**tensors: torch.Tensor) -> object:
        torch.manual_seed(0)
        return eval(code, {"torch": torch, "nn": nn, "F": F, **tensors})

    return Trial(step, (), make_inputs(specs).kwargs, input_grad=True)


def sample_subjects(per_dtype: int) -> tuple[Subject, ...]:
    """A subject for each op of PyTorch's OpInfo database, with up to `per_dtype` samples in each of DTYPES.

    Raises ImportError where the database cannot be imported: it needs expecttest and numpy.
    Source: torch.testing._internal.common_methods_invocations.op_db.
    """
    subjects = {}
    for op in _op_db():
        name = f"{op.name}.{op.variant_test_name}" if op.variant_test_name else op.name
        subjects[name] = Subject(name, f"OpInfo {name}", _sample_maker(op, per_dtype))
    return tuple(subjects[name] for name in sorted(subjects))


def _op_db() -> Iterable[Any]:
    """PyTorch's test modules freeze the backends' flags and, before 2.9, read the command line: neither gets through.

    Source: disable_global_flags() and parser.parse_known_args(), torch/testing/_internal/common_utils.py.
    """
    freeze, words = torch.backends.disable_global_flags, sys.argv
    torch.backends.disable_global_flags = lambda: None
    sys.argv = words[:1]
    try:
        found: Iterable[Any] = import_module("torch.testing._internal.common_methods_invocations").op_db
    finally:
        torch.backends.disable_global_flags, sys.argv = freeze, words
    return found


def _sample_maker(op: Any, per_dtype: int) -> Callable[[torch.device], Iterator[Trial]]:
    def make(device: torch.device) -> Iterator[Trial]:
        supported = op.supported_dtypes(device.type)
        with_grad = op.supported_backward_dtypes(device.type) if op.supports_autograd else ()
        for dtype in (each for each in DTYPES if each in supported):
            torch.manual_seed(0)
            samples = op.sample_inputs(str(device), dtype, requires_grad=dtype in with_grad)
            for sample in islice(samples, per_dtype):
                yield _sample_trial(op, sample, str(dtype).removeprefix("torch."))

    return make


def _sample_trial(op: Any, sample: Any, dtype: str) -> Trial:
    def step(*args: Any, **kwargs: Any) -> Any:
        torch.manual_seed(0)
        return sample.output_process_fn_grad(op.op(*args, **kwargs))

    return Trial(step, (sample.input, *sample.args), dict(sample.kwargs), dtype=dtype)

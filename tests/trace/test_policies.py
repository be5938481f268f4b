"""The policies of autocast, beside the kernels of the torch at hand.

Those for CUDA run here on fake CUDA tensors, forward alone, which needs no GPU; those for the CPU run for real. The
calls are the ones PyTorch tests its autocast with (torch/testing/_internal/autocast_test_lists.py).
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from importlib import import_module

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from opscan.trace.autocast import Autocast, Casting, on_target
from opscan.trace.policies import LOWER, registered

_HALF_TO_FLOAT = {"softmax", "log_softmax"}
"""On CUDA the cast to float32 is part of the kernel (`half_to_float`)."""


@pytest.fixture(scope="module")
def lists():
    """Importing them freezes the flags of torch.backends and reads the command line: both are left as they are here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.backends, "disable_global_flags", lambda: None)
        patch.setattr(sys, "argv", sys.argv[:1])
        return import_module("torch.testing._internal.autocast_test_lists")


class Log(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.casts: list[str] = []
        self.first: tuple[str, ...] = ()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if str(func) == "aten._to_copy.default" and not self.first:
            self.casts.append(f"{args[0].dtype} to {result.dtype}")
        elif not str(func).startswith("prim."):
            self.first = self.first or (str(func), *(str(x.dtype) for x in tree_leaves(args) if torch.is_tensor(x)))
        return result


def _calls(listed):
    owners = {"torch": torch, "nn": torch._C._nn, "methods": torch.Tensor, "banned": torch._C._nn}
    for group in sorted(vars(listed)):
        if (owner := owners.get(group.partition("_")[0])) is not None:
            for name, args, *rest in getattr(listed, group):
                kwargs = next((each for each in rest if isinstance(each, dict)), {})
                yield name, getattr(owner, name, None) or getattr(torch, name), args, kwargs


def _log(call, args, kwargs):
    """The casts before the first op, the dtypes that one gets, and the dtypes of the result or the refusal's kind."""
    log = Log()
    try:
        with torch.no_grad(), log:
            result = call(*args, **kwargs)
    except Exception as error:
        return log.casts, (), "autocast" in str(error)
    return log.casts, log.first, [str(x.dtype) for x in tree_leaves(result) if torch.is_tensor(x)]


def _all(make, device, dtype, *modes):
    with ExitStack() as stack:
        for mode in modes:
            stack.enter_context(mode)
        calls = list(_calls(make()))
        with torch.autocast(device, dtype=dtype):
            return [(name, _log(call, args, kwargs)) for name, call, args, kwargs in calls]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_what_is_cast_on_cuda_is_what_its_own_kernels_cast(lists, dtype):
    real = _all(
        lambda: lists.AutocastTestLists(torch.device("cuda")), "cuda", dtype, FakeTensorMode(), on_target("cuda")
    )
    ours = _all(
        lambda: lists.AutocastTestLists(torch.device("meta")), "cuda", dtype, Autocast(Casting("cuda")).honoured()
    )
    assert len(real) > 100
    for (name, (casts, first, result)), (_, own) in zip(real, ours, strict=True):
        if name in _HALF_TO_FLOAT:
            assert own[2] == result == ["torch.float32"]
            continue
        assert own[0] == casts, name
        if first and own[1] and first[0] == own[1][0]:  # after the casts another device may run other ops
            assert (own[1], own[2]) == (first, result), name


def test_what_is_cast_on_the_cpu_is_what_its_own_kernels_cast(lists):
    real = _all(lambda: lists.AutocastCPUTestLists(torch.device("cpu")), "cpu", torch.bfloat16)
    ours = _all(
        lambda: lists.AutocastCPUTestLists(torch.device("meta")),
        "cpu",
        torch.bfloat16,
        Autocast(Casting("cpu")).honoured(),
    )
    assert len(real) > 50
    for (name, (casts, first, result)), (_, own) in zip(real, ours, strict=True):
        assert own[0] == casts, name
        if first and own[1] and first[0] == own[1][0]:
            assert (own[1], own[2]) == (first, result), name


@pytest.mark.parametrize("device", ["cuda", "cpu", "mps"])
def test_every_op_that_is_registered_is_found_and_lower_ones_are_known_to_torch(device):
    names = torch._C._dispatch_get_registrations_for_dispatch_key(f"Autocast{device.upper()}")
    missing = set(names) - {op.name() for op in registered(device)}
    assert all("imname" in name or name == "aten::_cudnn_rnn" for name in missing), missing
    assert len(LOWER & {name.removeprefix("aten::").partition(".")[0] for name in names}) > 15


def test_no_other_thread_and_no_other_code_has_the_key():
    names = torch._C._dispatch_get_registrations_for_dispatch_key("AutocastIPU")
    assert all(name.startswith("aten::") for name in names)
    assert not torch._C._dispatch_tls_is_dispatch_key_included(torch._C.DispatchKey.AutocastIPU)
    assert torch._C._dispatch_tls_is_dispatch_key_excluded(torch._C.DispatchKey.AutocastIPU)

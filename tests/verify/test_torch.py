"""What torch has of its own: compiled models, ranks, steps searched in two phases, and this process left as it was."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import opscan
from opscan.verifying.options import Options
from opscan.verifying.runs import Script
from opscan.verifying.stream import read_records
from opscan.verifying.watch.install import recorded

Answer = Callable[..., dict[str, Any]]

COMPILED = """\
import torch, torch.nn as nn
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
fast = torch.compile(net, backend="aot_eager")
optimizer = torch.optim.SGD(net.parameters(), 0.1)
x, y = torch.randn(32, 8), torch.randint(0, 4, (32,))
from torch._dynamo.utils import counters
for k in range(2):
    with torch.autocast("cpu", torch.bfloat16):
        loss = nn.functional.cross_entropy(fast(x), y)
    optimizer.zero_grad(); loss.backward(); optimizer.step()
assert counters["stats"]["unique_graphs"] == 1, counters
"""
RANKS = """\
import sys, torch, torch.nn as nn, torch.distributed as dist, torch.multiprocessing as mp
def main(rank, store):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", store=dist.FileStore(store, 2), rank=rank, world_size=2)
    torch.manual_seed(0)
    net = nn.parallel.DistributedDataParallel(nn.Linear(8, 4))
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for k in range(2):
        x = torch.randn(16, 8)
        if rank == 1:
            own = torch.Generator(); own.seed()
            x = x + torch.rand(1, generator=own)  # line 12
        optimizer.zero_grad(); net(x).square().mean().backward(); optimizer.step()
    dist.destroy_process_group()
if __name__ == "__main__":
    mp.start_processes(main, (sys.argv[1],), nprocs=2, start_method="fork")
"""


def training(noise: Callable[[int], float] = lambda k: 0.0, steps: int = 4) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for k in range(steps):
        loss = (net(torch.randn(8, 4)) + noise(k)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_a_function_in_this_process() -> None:
    patched = torch.manual_seed, torch.Tensor.backward, random.random, torch.optim.Optimizer.__init__, torch.compile
    finders = list(sys.meta_path)
    assert opscan.verify(training).identical
    found = opscan.verify(training, ops="all", steps=2)
    assert found.identical
    assert found.counts["step"] == 2
    assert found.counts["op"] > 40
    now = torch.manual_seed, torch.Tensor.backward, random.random, torch.optim.Optimizer.__init__, torch.compile
    assert now == patched
    assert sys.meta_path == finders
    assert not torch.nn.modules.module._global_forward_hooks
    assert not torch.nn.modules.module._global_parameter_registration_hooks
    assert torch.utils._python_dispatch._get_current_dispatch_mode() is None


def test_a_weight_is_read_again_after_an_op_wrote_to_it(tmp_path: Path) -> None:
    path = tmp_path / "run.opslog"
    net = nn.Linear(4, 4)
    with recorded(str(path), Options((0, 100), modules=("inner",)), ()) as recording:
        torch.optim.SGD(net.parameters(), 0.1)
        for number in range(3):
            if number == 2:
                net.weight.data.mul_(2)  # outside the modules that are recorded, and unseen by the weight's version
            Within(net)(torch.ones(1, 4))
        recording.end("ran")
    records = list(read_records(path))
    names = {each["i"]: each["s"][0] for each in records if each["e"] == "site"}
    ops = [op for each in records if each["e"] == "ops" for op in each["ops"] if "addmm" in names[op[0]]]
    (first, second, third) = (inputs for _, inputs, _ in ops)
    assert first == second
    assert [one == other for one, other in zip(second, third, strict=True)].count(False) == 1


class Within(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.inner = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.inner(x)
        return y


def test_the_step_where_runs_part_is_looked_at_again_with_every_op() -> None:
    calls = iter(range(100))
    found = opscan.verify(lambda: training(lambda k: next(calls) * 1e-3 if k == 2 else 0.0))
    assert found.cause is not None
    assert (found.cause.kind, found.cause.step) == ("op", 2)
    assert dict(found.cause.lines)["op"].startswith("aten.add.Tensor")
    assert "second pair" in dict(found.cause.lines)["found"]


def test_an_error_of_the_function_is_told() -> None:
    found = opscan.verify(lambda: training(lambda k: 1 / (2 - k)))
    assert found.status == 2
    assert "ZeroDivisionError" in found.failures[0]
    assert found.steps == 2


@pytest.mark.parametrize("how", [{"runs": 1}, {"every": 0}, {"ops": "some"}, {"ranks": 0}])
def test_arguments_that_make_no_sense(how: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="runs >= 2"):
        opscan.verify(training, **how)


def test_a_compiled_model_stays_compiled(answer: Answer, folder: Path) -> None:
    (folder / "train.py").write_text(COMPILED)
    found = answer("train.py", "--keep", "kept")
    assert found["identical"], found
    assert '"compiled Sequential"' in (folder / "kept" / "run1.opslog").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="forks ranks")
def test_ranks_that_a_script_starts_are_compared_run_by_run_and_with_one_another(answer: Answer, folder: Path) -> None:
    (folder / "train.py").write_text(RANKS + f"{'':4}import os; os.remove(sys.argv[1])\n")
    document = answer("train.py", "--", str(folder / "store"))
    assert document["cause"]["step"] == 0
    assert any("train.py:12" in each["text"] for each in document["cause"]["details"]), document["cause"]
    assert document["drifts"] == []
    assert document["replicas"] == ["2 parameters on ranks 0, 1, 2 steps"]


def test_ranks_of_torchrun_are_recorded_each(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "tell.py").write_text("import os, opscan; opscan.log('rank', int(os.environ['RANK']))")
    monkeypatch.chdir(folder)
    run = Script("tell.py", ranks=2).record(folder / "run1.opslog", Options(None))
    told = [[each["v"] for each in read_records(path) if each["e"] == "value"] for path in run.paths]
    assert (run.failure, told) == ("", [[0], [1]])

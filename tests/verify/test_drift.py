"""Ranks of one run beside one another, on real gloo processes: planted drifts are named, clean trainings are silent."""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path

import pytest
import torch.distributed as dist

from opscan.cli import main
from opscan.verifying.cause import Cause
from opscan.verifying.drift import RankComparison, Ranks
from opscan.verifying.drift_words import drift_causes, replica_words
from opscan.verifying.growth import Growth
from opscan.verifying.options import Options
from opscan.verifying.outcome import Verification
from opscan.verifying.stream import read_records
from opscan.verifying.watch.install import recorded
from opscan.verifying.watch.processes import processes_of
from tests.conftest import run_process

pytestmark = [
    pytest.mark.skipif(not dist.is_available() or not dist.is_gloo_available(), reason="needs gloo"),
    pytest.mark.skipif(sys.platform != "linux", reason="forks ranks"),
]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The records of all planted trainings."""
    path = tmp_path_factory.mktemp("drift")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    outcome = run_process(sys.executable, "-m", "tests.verify.drifting", str(path), cwd=ROOT, env=env)
    assert outcome.status == 0, outcome.err
    return path


def compared(folder: Path, name: str) -> Ranks:
    paths = sorted(folder.glob(f"{name}.rank*.opslog"))
    assert len(paths) == int(name[-1])
    ends = [list(read_records(path))[-1] for path in paths]
    if any(missing in ends[0]["what"] for missing in ("record_event", "init_sync")):
        pytest.skip(f"torch 2.6 has neither FSDP2 on the CPU nor init_sync: {ends[0]['what']}")
    assert {end["status"] for end in ends} == {"ok"}, ends
    return RankComparison().run({rank: read_records(path) for rank, path in enumerate(paths)})


CLEAN = {
    "DDP, BatchNorm's statistics differ until the next forward": ("ddp2", 6, 3),
    "four ranks": ("ddp4", 6, 3),
    "gradients accumulated under no_sync, and synced last": ("accumulated2", 6, 3),
    "two optimizers after one backward": ("two_optimizers2", 4, 6),
    "gradients added up by hand": ("by_hand2", 6, 3),
    "tensor and sequence parallel: what is replicated": ("tensor_parallel2", 3, 3),
    "FSDP2 alone: nothing but shards": ("fsdp2", 0, 3),
    "FSDP2 over copies and shards": ("hybrid4", 2, 3),
}


@pytest.mark.parametrize(("name", "count", "steps"), CLEAN.values(), ids=CLEAN)
def test_a_clean_training_is_silent(folder: Path, name: str, count: int, steps: int) -> None:
    found = compared(folder, name)
    assert not found.drifts
    assert (len(found.compared), found.steps) == (count, steps)
    assert not found.unkept


PLANTED = {
    "a parameter that came after DDP": ("late2", 0, "gradient", "extra.weight", "before", "when it was made"),
    "a parameter that DDP found frozen": ("frozen2", 0, "gradient", "body.weight", "before", "needed a gradient"),
    "other seeds, and no copy at the start": ("seeds2", 0, "weights", "body.weight", "before", "init_sync=False"),
    "BatchNorm without broadcast": ("statistics2", 0, "buffers", "norm.running_mean", "no all-reduce", "broadcast"),
    "a step on rank 0 alone": ("local_step2", 1, "steps", "body.weight", "after", "on rank 0 after backward pass 2"),
    "no step on rank 1 at all": ("never_stepped2", 0, "steps", "body.weight", "after", "rank 1 not at all"),
    "no_sync, never synced": ("unsynced2", 0, "gradient", "body.weight", "before", "no_sync()"),
    "the wrapper passed by": ("bypassed2", 0, "gradient", "body.weight", "before", "no reducer was at work"),
    "another learning rate": ("scheduled2", 1, "parameter", "body.weight", "after", "lr 0.1 on rank 0, 0.05 on rank 1"),
    "no weights broadcast by hand": ("seeds_by_hand2", 0, "weights", "body.weight", "before", "nothing copied"),
    "a checkpoint on rank 0 alone": ("restored2", 0, "weights", "body.weight", "before", "wrote to them since"),
    "gradients scaled on rank 2 of 4": ("scaled4", 1, "gradient", "body.weight", "after", "on rank 2 it is 0.5 times"),
    "FSDP2's copies made of other seeds": ("hybrid_seeds4", 0, "weights", "0.weight", "before", "copy nothing"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "step", "stage", "first", "when", "why"), PLANTED.values(), ids=PLANTED)
def test_a_planted_drift_is_named(
    folder: Path, name: str, step: int, stage: str, first: str, when: str, why: str
) -> None:
    found = compared(folder, name)
    drift, cause = found.drifts[0], drift_causes(found)[0]
    assert (drift.stage, drift.step) == (stage, step)
    assert drift.names[0].removeprefix("module.") == first
    details = dict(cause.lines)
    assert details["when"].startswith(when)
    assert why in details["because"]
    assert cause.advice


def test_ranks_that_agree_are_told_from_the_one_that_does_not(folder: Path) -> None:
    (cause,) = drift_causes(compared(folder, "scaled4"))
    assert dict(cause.lines)["ranks"] == "ranks 0, 1, 3 agree; rank 2 differs"


def test_other_seeds_are_named_with_their_line(folder: Path) -> None:
    details = dict(drift_causes(compared(folder, "seeds2"))[0].lines)
    assert details["seeded"].endswith("with 0 on rank 0, with 1 on rank 1")
    assert "drifting.py" in details["seeded"]


def test_a_local_step_is_named_with_its_line(folder: Path) -> None:
    line = 1 + (ROOT / "tests/verify/drifting.py").read_text().split("# the step")[0].count("\n")
    details = dict(drift_causes(compared(folder, "local_step2"))[0].lines)
    assert f"drifting.py:{line}" in details["stepped"]


# -- what nobody keeps equal is said, and is no drift


def test_parameters_that_nobody_keeps_equal_are_counted() -> None:
    def rank(value: int) -> list[dict[str, object]]:
        kinds = [["", []], ["sharded", []]]
        copies = {"e": "copies", "k": 0, "o": 0, "names": ["expert", "shard"], "kinds": kinds, "of": [0, 1]}
        return [copies, {"e": "weights", "k": 0, "o": 0, "first": True, "p": [value, value]}]

    found = RankComparison().run({0: rank(1), 1: rank(2)})
    assert not found.drifts
    assert replica_words(found) == [
        "not compared: 1 parameters of which each rank has a part of its own",
        "not compared: 1 parameters that nothing seen keeps equal; 1 of them differ between ranks: expert",
    ]


# -- how ranks come to be


def _child(number: int) -> None:
    from opscan import log

    log("value", number)


def test_processes_that_a_run_starts_are_recorded(tmp_path: Path) -> None:
    path = tmp_path / "run1.opslog"
    before = multiprocessing.process.BaseProcess.start
    with recorded(str(path), Options(None), ("train.py",)):
        for number in range(2):
            process = multiprocessing.get_context("fork").Process(target=_child, args=(number,))
            process.start()
            process.join()
    assert multiprocessing.process.BaseProcess.start is before
    kinds = [[(each["e"], each.get("v")) for each in read_records(each)] for each in processes_of(path)]
    assert kinds == [[("value", 0), ("end", None)], [("value", 1), ("end", None)]]


@pytest.mark.parametrize(
    ("rank", "local", "status"), [("1", "2", 0), ("0", "1", 2)], ids=["not rank 0", "two machines"]
)
def test_under_torchrun(
    rank: str, local: str, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    launched = {"RANK": rank, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": local, "MASTER_ADDR": "localhost"}
    for name, value in {**launched, "MASTER_PORT": "1", "TORCHELASTIC_RUN_ID": "1"}.items():
        monkeypatch.setenv(name, value)
    assert main(["verify", "train.py"]) == status
    assert ("several machines" in capsys.readouterr().err) is bool(status)


def test_a_drift_is_an_answer_of_its_own() -> None:
    drift = Cause("replicas", 2, "In step 2 ...", (("ranks", "ranks 0, 1 differ"),), "Do it.")
    words = "4 parameters on ranks 0, 1, 3 steps"
    made = Verification("train.py", None, 3, {"step": 3}, Growth(), drifts=(drift,), replicas=(words,))
    assert made.status == 1
    assert made.to_text().startswith(
        "train.py: replicas drift apart from step 2 on; the runs: identical to the last\nbit"
    )
    for text in (made.to_text(), made.to_html(), made.to_json()):
        assert "ranks 0, 1 differ" in text
        assert "4 parameters on ranks 0, 1" in text

"""What runs on CUDA, with the numbers of the CPU: drop-ins whose formulas differ by device, against the originals."""

from __future__ import annotations

import hypothesis
import pytest
import torch
from hypothesis import strategies as st

from opscan import traced_for
from opscan.rules.dropins import SUFFIX, DropIn, load_dropins
from tests.replacements.proof import DTYPES, compare
from tests.replacements.samples import gathered
from tests.replacements.test_proof import names

FILES = ("indexing", "max_pooling", "selection", "embedding")
DROPINS = [each for each in load_dropins().by_name.values() if each.source.removesuffix(SUFFIX) in FILES]


@pytest.fixture
def _as_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traced_for, "device", "cuda")


@pytest.mark.usefixtures("_as_on_cuda")
@pytest.mark.parametrize("dtype", DTYPES, ids=names)
@pytest.mark.parametrize("dropin", DROPINS, ids=names)
def test_the_formula_for_cuda_gives_what_the_original_gives(dropin: DropIn, dtype: torch.dtype) -> None:
    drawn = gathered("DRAWN")[dropin.name]

    @hypothesis.settings(
        max_examples=8,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(hypothesis.Phase.generate,),
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(st.data())
    def proven(data: st.DataObject) -> None:
        torch.manual_seed(data.draw(st.integers(0, 2**31)))
        sample = drawn(data.draw, dtype)
        hypothesis.note(str(sample))
        assert compare(dropin, dropin.of[0], sample) == ""

    proven()
    for at, make in enumerate(gathered("EXTREME").get(dropin.name, ())):
        assert compare(dropin, dropin.of[0], make(dtype)) == "", f"EXTREME[{at}]"

"""The drop-ins on a real CUDA device: equal to the originals as claimed, and the same bits a hundred times."""

from __future__ import annotations

import pytest
import torch

from opscan.rules.dropins import DropIn, load_dropins
from tests.replacements.proof import assert_repeats, compare
from tests.replacements.samples import gathered

pytestmark = pytest.mark.cuda
DROPINS = list(load_dropins().by_name.values())


@pytest.mark.parametrize("dropin", DROPINS, ids=lambda each: each.name)
def test_it_repeats(dropin: DropIn) -> None:
    assert_repeats(dropin, torch.device("cuda"), runs=100)


@pytest.mark.parametrize("dropin", DROPINS, ids=lambda each: each.name)
def test_it_gives_what_the_original_gives(dropin: DropIn) -> None:
    sample = gathered("TYPICAL")[dropin.name](torch.float32, torch.device("cuda"))
    assert compare(dropin, dropin.of[0], sample) == ""

"""What starting costs: the command line, the linter, and a whole check of a small model."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from measure import Row, child, compare

SMALL = (
    "import torch\nfrom torch import nn\n\ntorch.manual_seed(0)\nnet = nn.Linear(2, 2)\nprint(net(torch.rand(1, 2)))\n"
)


def rows(runs: int) -> Iterator[Row]:
    """Whole processes against one that does nothing, and against one that imports torch."""
    python = sys.executable
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "train.py")
        path.write_text(SMALL)
        nothing, torch = child(python, "-c", "pass"), child(python, "-c", "import torch")
        for words in (("-c", "import opscan"), ("-m", "opscan", "--help"), ("-m", "opscan", "lint", str(path))):
            what = "import opscan" if words[0] == "-c" else " ".join(words[1:]).replace(str(path), "FILE")
            yield compare("start-up", what, child(python, *words), "python -c pass", nothing, 2 * runs)
        words = ("-m", "opscan", "lint", str(path))
        floor = 'python -c "import torch"'
        yield compare("start-up", "opscan lint FILE", child(python, *words), floor, torch, max(runs // 2, 1))
        words = ("-m", "opscan", "check", "opscan.examples.cnn:CNN_v2")
        what = "opscan check opscan.examples.cnn:CNN_v2"
        yield compare("start-up", what, child(python, *words), floor, torch, runs, 1.25)

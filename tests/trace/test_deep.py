"""A model of any depth: freeing what autograd made of it takes no more stack than one layer does."""

import subprocess
import sys
from pathlib import Path

SCAN = """\
import threading

import torch
from torch import nn

import opscan


class Deep(nn.Module):
    def forward(self, x):
        for _ in range(4000):
            x = x.relu()
        return x


def scan():
    print(opscan.check(Deep(), (torch.ones(2),)).backward_ops >= 4000)


threading.stack_size(512 * 1024)
thread = threading.Thread(target=scan)
thread.start()
thread.join()
"""


def test_a_deep_model_ends_no_process() -> None:
    """In a process of its own, which a stack that overflows ends: Note [Freed one by one]."""
    home = Path(__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", SCAN], cwd=home, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "True\n"), ended.stderr

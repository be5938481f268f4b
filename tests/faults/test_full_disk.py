"""A disk that is really full: a small one in memory, which root may mount in a namespace of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.verify.conftest import ROOT

_SCRIPT = """
mount -t tmpfs -o size=64k none disk || exit 77
printf 'import torch\\n\\ntorch.backends.cudnn.benchmark = True\\n' > disk/mend.py
cp disk/mend.py old.py
head -c 100000 /dev/zero > disk/filler 2> nowhere
"$PYTHON" -m opscan lint disk/mend.py --fix
echo "lint $?"
cmp disk/mend.py old.py && ls -A disk
rm disk/filler
"$PYTHON" -m opscan verify train.py --keep disk
echo "verify $?"
"""


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "train.py").write_text("import opscan\nfor k in range(9000):\n    opscan.log('loss', k)\n")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHON": sys.executable}
    try:
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", _SCRIPT],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if done.returncode == 77 or done.stderr.startswith("unshare: "):
        pytest.skip("nothing may be mounted here")
    assert "disk/mend.py: cannot be written: No space left on device\n  Make room there" in done.stderr
    assert "lint 2\nfiller\nmend.py\n" in done.stdout
    assert "verify 2" in done.stdout
    assert "record" in done.stdout + done.stderr
    assert "--keep DIR, or TMPDIR=DIR" in done.stderr + done.stdout
    assert "internal error" not in done.stderr
    assert "Traceback" not in done.stderr

"""Ranks that torchrun started, or that are started here as it does; torch is imported only to start them.

torchrun itself ends with 1 whatever the status of a worker was (torch/distributed/run.py raises ChildFailedError).
"""

from __future__ import annotations

import logging
import os
import sys
import uuid
from collections.abc import Sequence

COULD_NOT_LOOK = 2
_ELASTIC = "torch.distributed.elastic"
_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID")


def is_launched() -> bool:
    """Whether torchrun started this process, as one of several."""
    return all(name in os.environ for name in _VARIABLES) and int(os.environ["WORLD_SIZE"]) > 1


def launch(processes: int, words: Sequence[str]) -> int:
    """Run `opscan WORDS` in so many ranks, by torch's own launcher; 2 if any of them could not look, or was ended."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.1,
    )
    logger = logging.getLogger(_ELASTIC)
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # opscan says itself what happened
    try:
        elastic_launch(config, sys.executable)("-m", "opscan", *words)
    except ChildFailedError as error:
        _, first = error.get_first_failure()  # the others are then ended by a signal, if they are not done yet
        missed = any(failure.exitcode == COULD_NOT_LOOK for failure in error.failures.values())
        return 1 if first.exitcode == 1 and not missed else COULD_NOT_LOOK
    finally:
        logger.setLevel(level)
    return 0

"""What is done where the user's code runs: in a child, or with --in-process right here."""

from __future__ import annotations

import argparse
import contextlib
import gc
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from opscan.cold import load_torch

if TYPE_CHECKING:
    from opscan.report.report import Report


def check_plan(arguments: argparse.Namespace) -> None:
    """Raises OpscanError where a run on the device is asked for that cannot be made."""
    load_torch()
    from opscan.environment import make_environment
    from opscan.observe.plan import plan_run

    environment = make_environment(arguments.device, arguments.torch, arguments.strict, arguments.amp)
    plan_run(environment, arguments.run, arguments.replay, arguments.replay_ops)


def models_there(file: str) -> tuple[str, ...]:
    """The models that a file defines, which is imported right here."""
    from opscan.files.models import models_of_file

    return tuple(models_of_file(file))


def look(target: str, arguments: argparse.Namespace) -> Report:
    """Scan one target right here, as the options say; whatever the user's code prints meanwhile goes to stderr."""
    with contextlib.redirect_stdout(sys.stderr):
        load_torch()
        from opscan.config import find_config
        from opscan.distributed.world import world
        from opscan.environment import make_environment
        from opscan.observe.plan import plan_run
        from opscan.report.carried import packed
        from opscan.scan import build_named, scan_target
        from opscan.target.inputs import call_batch_maker, make_inputs, parse_init, parse_input

        started = time.perf_counter()
        environment = make_environment(arguments.device, arguments.torch, arguments.strict, arguments.amp)
        config = find_config(Path.cwd())
        plan = plan_run(environment, arguments.run, arguments.replay, arguments.replay_ops)
        gc.freeze()  # what was imported stays: collecting cycles need not look through it
        with world(arguments.world_size):
            init = parse_init(arguments.init)
            specs = [parse_input(word) for word in arguments.input]
            built, rebuild = build_named(target, environment, init)
            inputs = call_batch_maker(arguments.inputs) if arguments.inputs else make_inputs(specs) if specs else None
            report = scan_target(
                built,
                inputs,
                environment,
                loss=arguments.loss,
                mode=arguments.mode,
                input_grad=arguments.input_grad,
                rules=config.ruleset(*arguments.rules),
                plan=plan if arguments.world_size is None else None,
                configured=config.inputs,
                trace_device=arguments.trace_device,
                rebuild=rebuild,
                started=started,
            )
        return packed(report, arguments.format == "html")

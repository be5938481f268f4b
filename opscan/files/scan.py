"""The targets of one file, scanned one after the other in this process: it is the file's own, and imports it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

from opscan.accepted.waive import waive
from opscan.config import Config, find_config
from opscan.errors import OpscanError
from opscan.files.checked import Checked, Question, Work
from opscan.files.models import defined_models, parts_of
from opscan.report.carried import packed
from opscan.report.report import Report
from opscan.rules.load import Ruleset
from opscan.scan import build_named, scan_target
from opscan.sweeps.reason import reason_of
from opscan.target.load import load_module
from opscan.target.spec import TargetSpec


def scan_work(work: Work, question: Question) -> tuple[Checked, ...]:
    """Scan the targets that were named, and the models among the classes. What cannot be looked at is a Checked too.

    Raises OpscanError if the project's settings cannot be read.
    """
    config = find_config(Path(work.file).resolve().parent)
    scanner = _Scanner(question, config, config.ruleset(*map(Path, question.rules)))
    named = [scanner.checked(target, True)[0] for target in work.named]
    return (*named, *(scanner.models_of(work) if work.classes else ()))


class _Scanner:
    def __init__(self, question: Question, config: Config, rules: Ruleset) -> None:
        self._question = question
        self._config = config
        self._rules = rules

    def models_of(self, work: Work) -> Iterator[Checked]:
        """The models a file defines; a class that one of them is built from is not scanned by itself as well."""
        try:
            module = load_module(TargetSpec(work.file, work.file, "", is_file=True))
        except OpscanError as error:
            yield Checked(work.file, "skipped", reason_of(error))
            return
        seen: set[type] = set()
        for model in defined_models(module, work.classes):
            if model not in seen:
                target = f"{work.file}:{model.__name__}"
                is_named = any(each.is_exact and each.fits(target) for each in self._config.inputs)
                checked, was_scanned = self.checked(target, is_named)
                seen |= parts_of(model, module) if was_scanned else set()
                yield checked

    def checked(self, target: str, is_named: bool) -> tuple[Checked, bool]:
        """What came of a target, and whether it was looked at."""
        try:
            report = self._scanned(target)
        except OpscanError as error:
            if is_named:
                return Checked(target, "missed", str(error)), False
            return Checked(target, "skipped", reason_of(error)), False
        report = waive(report, self._config.waivers, date.today())
        packet = packed(report, self._question.drawn)
        return Checked(target, "findings" if report.fails() else "clean", report=packet), True

    def _scanned(self, target: str) -> Report:
        environment = self._question.environment
        built, rebuild = build_named(target, environment)
        return scan_target(
            built,
            None,
            environment,
            mode=self._question.mode,
            rules=self._rules,
            configured=self._config.inputs,
            rebuild=rebuild,
        )

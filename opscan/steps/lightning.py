"""The step of a LightningModule, or of any module with a training_step, as its Trainer would run it.

    hooks, training_step, zero_grad, backward, optimizer.step       automatic optimization
    hooks, training_step                                            manual: it does the rest itself

There is no Trainer: a stand-in answers what steps usually ask of one, and `self.log` does nothing.
Source: lightning 2.6 pytorch/loops/optimization/automatic.py, pytorch/core/module.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from opscan.steps.step import TrainingStep

_HOMES = {"lightning", "pytorch_lightning"}
_BEFORE = ("configure_model", "on_fit_start", "on_train_start", "on_train_epoch_start")


def is_lightning(model: nn.Module) -> bool:
    """Whether it is a LightningModule, by whatever package name."""
    return any(
        kind.__name__ == "LightningModule" and kind.__module__.partition(".")[0] in _HOMES
        for kind in type(model).__mro__
    )


def has_step(model: nn.Module) -> bool:
    """Whether it has a training_step of its own: LightningModule itself has one that does nothing."""
    own = getattr(type(model), "training_step", None)
    return own is not None and str(own.__module__).partition(".")[0] not in _HOMES


def has_forward(model: nn.Module) -> bool:
    """Whether it has a forward of its own."""
    home = next(kind for kind in type(model).__mro__ if "forward" in vars(kind))
    return home is not nn.Module and home.__name__ != "LightningModule"


class LightningStep(TrainingStep):
    """One training step, and the optimizer's where there is an optimizer. Without gradients: the loss alone."""

    model: nn.Module

    def __call__(self, **data: object) -> object:
        """Run the step; the loss, if the step leaves its backward to the trainer and there is no optimizer."""
        with _standing_in(self.model) as trainer:
            if not torch.is_grad_enabled():
                return self.function(**self.bound, **data)
            self._hooks(_BEFORE)
            optimizers, schedulers = _configured(getattr(self.model, "configure_optimizers", lambda: None)())
            trainer.optimizers[:], trainer.lr_schedulers[:] = optimizers, schedulers
            data = self._transferred(data)
            self._hook("on_train_batch_start", next(iter(data.values()), None), 0)
            if not optimizers or not getattr(self.model, "automatic_optimization", True):
                return self._loss(data)
            for optimizer in optimizers:
                self._optimize(optimizer, data)
            return None

    def _optimize(self, optimizer: torch.optim.Optimizer, data: Mapping[str, object]) -> None:
        """As the automatic loop does: the optimizer gets a closure that makes the gradients."""

        def closure() -> Any:
            loss = self._loss(data)
            self._hook("on_before_zero_grad", optimizer)
            optimizer.zero_grad()
            if isinstance(loss, torch.Tensor):
                self._hook("on_before_backward", loss)
                loss.backward()
                self._hook("on_after_backward")
            self._hook("on_before_optimizer_step", optimizer)
            return loss

        own = getattr(self.model, "optimizer_step", None)
        if own is None:
            optimizer.step(closure)
        else:
            own(0, 0, optimizer, closure)

    def _loss(self, data: Mapping[str, object]) -> object:
        output = self.function(**self.bound, **data)
        return output.get("loss") if isinstance(output, Mapping) else output

    def _transferred(self, data: dict[str, object]) -> dict[str, object]:
        """The batch, which is the first of the data, as on_after_batch_transfer leaves it: augmented."""
        name, batch = next(iter(data.items()), ("", None))
        hook = getattr(self.model, "on_after_batch_transfer", None)
        return data if hook is None or not name else {**data, name: hook(batch, 0)}

    def _hooks(self, names: Iterable[str]) -> None:
        for name in names:
            self._hook(name)

    def _hook(self, name: str, *args: object) -> None:
        hook = getattr(self.model, name, None)
        if hook is not None:
            hook(*args)


def _configured(configured: Any) -> tuple[list[torch.optim.Optimizer], list[Any]]:
    """The optimizers and schedulers in what configure_optimizers returns: one, lists of them, or dicts."""
    if isinstance(configured, torch.optim.Optimizer):
        return [configured], []
    if isinstance(configured, Mapping):
        configured = [configured.get("optimizer"), configured.get("lr_scheduler"), configured.get("scheduler")]
    if isinstance(configured, list | tuple):
        found = [_configured(each) for each in configured]
        return [each for one, _ in found for each in one], [each for _, other in found for each in other]
    return [], [] if configured is None or not hasattr(configured, "step") else [configured]


class _Quiet:
    """A logger, a strategy, a progress bar: whatever is called or asked of it, nothing happens."""

    def __getattr__(self, name: str) -> _Quiet:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *args: object, **kwargs: object) -> _Quiet:
        return self


class _Trainer(SimpleNamespace):
    """What stands in for the Trainer: one process, the first batch of the first epoch of many."""

    optimizers: list[torch.optim.Optimizer]
    lr_schedulers: list[Any]

    def __getattr__(self, name: str) -> object:
        raise AttributeError(f"the stand-in for the Trainer has no {name!r}")


def _make_trainer() -> _Trainer:
    quiet = _Quiet()
    return _Trainer(
        optimizers=[], lr_schedulers=[], logger=quiet, loggers=[quiet], callbacks=[], strategy=quiet, datamodule=None,
        current_epoch=0, global_step=0, max_epochs=100, min_epochs=1, max_steps=10_000, num_training_batches=100,
        estimated_stepping_batches=10_000, accumulate_grad_batches=1, gradient_clip_val=None, log_every_n_steps=50,
        world_size=1, num_devices=1, num_nodes=1, global_rank=0, local_rank=0, node_rank=0, is_global_zero=True,
        training=True, validating=False, testing=False, predicting=False, sanity_checking=False, fast_dev_run=False,
        is_last_batch=False, precision="32-true", default_root_dir=".", log_dir=None, progress_bar_callback=None,
        callback_metrics={}, logged_metrics={}, num_val_batches=[0], train_dataloader=None, val_dataloaders=None,
        limit_train_batches=1.0, state=quiet, fit_loop=quiet, checkpoint_callback=None,
    )  # fmt: skip


@contextmanager
def _standing_in(model: nn.Module) -> Iterator[_Trainer]:
    """Let a LightningModule and those in it find a trainer, and methods that need a real one do without."""
    trainer = _make_trainer()
    if not is_lightning(model):
        yield trainer
        return
    attributes = {"_trainer": trainer, **_methods(trainer)}
    inside = [module for module in model.modules() if is_lightning(module)]
    were = [dict(module.__dict__) for module in inside]
    for module in inside:
        module.__dict__.update(attributes)
    try:
        yield trainer
    finally:
        for module, before in zip(inside, were, strict=True):
            for name in attributes:
                module.__dict__.pop(name, None)
            module.__dict__.update({name: before[name] for name in attributes if name in before})


def _methods(trainer: _Trainer) -> dict[str, Callable[..., Any]]:
    """Methods of a LightningModule that ask its trainer, each as one process with that trainer would run it."""

    def nothing(*args: object, **kwargs: object) -> None:
        return None

    def backward(loss: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        loss.backward(*args, **kwargs)

    def clip(
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        parameters = [each for group in optimizer.param_groups for each in group["params"]]
        by_value = str(gradient_clip_algorithm or "norm").endswith("value")
        clipping = nn.utils.clip_grad_value_ if by_value else nn.utils.clip_grad_norm_
        if gradient_clip_val:
            clipping(parameters, gradient_clip_val)

    def only(values: list[Any]) -> Any:
        return values[0] if len(values) == 1 else values

    return {
        **dict.fromkeys(("log", "log_dict", "print"), nothing),
        "manual_backward": backward,
        "clip_gradients": clip,
        "optimizers": lambda *args, **kwargs: only(trainer.optimizers),
        "lr_schedulers": lambda: only(trainer.lr_schedulers) if trainer.lr_schedulers else None,
        "all_gather": lambda data, *args, **kwargs: data,
    }

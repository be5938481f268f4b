"""Values that frameworks log: TensorBoard, Lightning, Keras; and the loss that backward is called on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from opscan.verifying.watch.patches import Patches
from opscan.verifying.watch.recording import Recording

TENSORBOARD = ("torch.utils.tensorboard.writer", "tensorboardX.writer")
LIGHTNING = ("lightning.pytorch.core.module", "pytorch_lightning.core.module")
KERAS_CALLBACKS = ("keras.src.callbacks.callback_list",)


def watch_tensorboard(recording: Recording, patches: Patches) -> Callable[[ModuleType], None]:
    """SummaryWriter.add_scalar and add_scalars."""

    def install(module: ModuleType) -> None:
        def scalar(original: Any) -> Any:
            def add_scalar(self: Any, tag: Any, scalar_value: Any, *args: Any, **kwargs: Any) -> Any:
                recording.value(tag, scalar_value, sys._getframe(1), "tensorboard")
                with recording.silenced():
                    return original(self, tag, scalar_value, *args, **kwargs)

            return add_scalar

        def scalars(original: Any) -> Any:
            def add_scalars(self: Any, main_tag: Any, tag_scalar_dict: Any, *args: Any, **kwargs: Any) -> Any:
                for tag, value in dict(tag_scalar_dict).items():
                    recording.value(f"{main_tag}/{tag}", value, sys._getframe(1), "tensorboard")
                with recording.silenced():
                    return original(self, main_tag, tag_scalar_dict, *args, **kwargs)

            return add_scalars

        patches.replace(module.SummaryWriter, "add_scalar", scalar)
        patches.replace(module.SummaryWriter, "add_scalars", scalars)

    return install


def watch_lightning(recording: Recording, patches: Patches) -> Callable[[ModuleType], None]:
    """LightningModule.log, which log_dict calls."""

    def install(module: ModuleType) -> None:
        def make(original: Any) -> Any:
            def log(self: Any, name: str, value: Any, *args: Any, **kwargs: Any) -> Any:
                if not isinstance(value, Mapping):
                    recording.value(name, _detached(value), sys._getframe(1), "lightning")
                return original(self, name, value, *args, **kwargs)

            return log

        patches.replace(module.LightningModule, "log", make)

    return install


def _detached(value: Any) -> Any:
    return value.detach() if hasattr(value, "detach") else value


def watch_keras(recording: Recording, patches: Patches) -> Callable[[ModuleType], None]:
    """What callbacks are told: the beginning of fit, the end of each batch and of each epoch, on every backend."""

    def install(module: ModuleType) -> None:
        def begin(original: Any) -> Any:
            def on_train_begin(self: Any, *args: Any, **kwargs: Any) -> Any:
                with recording.silenced():
                    weights = _weights_of(self)
                if weights is not None:
                    recording.put("weights", first=True, **weights)
                return original(self, *args, **kwargs)

            return on_train_begin

        def batch_end(original: Any) -> Any:
            def on_train_batch_end(self: Any, batch: Any, logs: Any = None) -> Any:
                for name, value in _numbers(logs):
                    recording.value(name, value, None, "keras")
                with recording.silenced():
                    weights = _weights_of(self, names=False) or {}
                recording.stepped_by("keras", weights)
                return original(self, batch, logs)

            return on_train_batch_end

        def epoch_end(original: Any) -> Any:
            def on_epoch_end(self: Any, epoch: Any, logs: Any = None) -> Any:
                for name, value in _numbers(logs):
                    recording.value(f"epoch {name}", value, None, "keras")
                recording.epoch = int(epoch) + 1
                return original(self, epoch, logs)

            return on_epoch_end

        patches.replace(module.CallbackList, "on_train_begin", begin)
        patches.replace(module.CallbackList, "on_train_batch_end", batch_end)
        patches.replace(module.CallbackList, "on_epoch_end", epoch_end)

    return install


def _numbers(logs: Any) -> list[tuple[str, Any]]:
    return list(logs.items()) if isinstance(logs, Mapping) else []


def _weights_of(callbacks: Any, names: bool = True) -> dict[str, Any] | None:
    """Names, digests and samples of a Keras model's weights."""
    from opscan.verifying.watch.digests import digest_of, samples_of

    model = getattr(callbacks, "_model", None) or getattr(callbacks, "model", None)
    if model is None:
        return None
    variables = list(model.trainable_variables)
    values = [getattr(each, "value", each) for each in variables]
    found: dict[str, Any] = {"o": 0, "p": [digest_of(each) for each in values], "x": samples_of(values)}
    if names:
        found["names"] = [str(getattr(each, "path", each.name)) for each in variables]
        found["shapes"] = [list(map(int, each.shape)) for each in variables]
        found["built"] = [["", ""]] * len(variables)
    return found

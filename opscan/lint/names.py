"""Names as people write them, and the one name under which the rules know them."""

from __future__ import annotations

_TORCH_MODULES = "torch.nn.modules."
_EXACT = {
    "torch.random.manual_seed": "torch.manual_seed",
    "torch.random.seed": "torch.seed",
    "torch.cuda.random.manual_seed": "torch.cuda.manual_seed",
    "torch.cuda.random.manual_seed_all": "torch.cuda.manual_seed_all",
    "torch.nn.parameter.Parameter": "torch.nn.Parameter",
    "torch.nn.modules.module.Module": "torch.nn.Module",
    "torch._C.Generator": "torch.Generator",
    "lightning.Trainer": "lightning.pytorch.Trainer",
    "lightning.seed_everything": "lightning.pytorch.seed_everything",
    "lightning.LightningModule": "lightning.pytorch.LightningModule",
    "lightning.LightningDataModule": "lightning.pytorch.LightningDataModule",
    "lightning.fabric.seed_everything": "lightning.pytorch.seed_everything",
    "lightning.fabric.utilities.seed.seed_everything": "lightning.pytorch.seed_everything",
    "lightning_fabric.seed_everything": "lightning.pytorch.seed_everything",
    "lightning_fabric.utilities.seed.seed_everything": "lightning.pytorch.seed_everything",
    "lightning.pytorch.trainer.Trainer": "lightning.pytorch.Trainer",
    "lightning.pytorch.trainer.trainer.Trainer": "lightning.pytorch.Trainer",
    "lightning.pytorch.utilities.seed.seed_everything": "lightning.pytorch.seed_everything",
    "tensorflow.set_random_seed": "tensorflow.random.set_seed",
    "tensorflow.random.set_random_seed": "tensorflow.random.set_seed",
    "tensorflow.keras.utils.set_random_seed": "keras.utils.set_random_seed",
    "keras.utils.rng_utils.set_random_seed": "keras.utils.set_random_seed",
}
_PREFIXES = (
    ("pytorch_lightning.", "lightning.pytorch."),
    ("tensorflow.compat.v1.", "tensorflow."),
    ("tensorflow.compat.v2.", "tensorflow."),
    (_TORCH_MODULES, "torch.nn."),
    ("torch.utils.data.dataloader.", "torch.utils.data."),
    ("torch.utils.data.dataset.", "torch.utils.data."),
    ("torch.utils.data.sampler.", "torch.utils.data."),
    ("numpy.random.mtrand.", "numpy.random."),
    ("sklearn.model_selection._split.", "sklearn.model_selection."),
    ("sklearn.utils._indexing.", "sklearn.utils."),
)


def canonical(name: str) -> str:
    """The name under which the rules know what is imported as `name`, as "lightning.pytorch.Trainer"."""
    for prefix, replacement in _PREFIXES:
        if name.startswith(prefix):
            name = replacement + name[len(prefix) :]
            if prefix == _TORCH_MODULES:  # torch.nn.modules.conv.Conv2d is torch.nn.Conv2d
                name = replacement + name.rpartition(".")[2]
            break
    return _EXACT.get(name, name)

"""Mistakes planted in whole scripts, each with a corrected twin: the cases users wrote up, and 24 more.

The script below is right. Each plant replaces a part of it by the mistake; the findings have to be exactly that one.
"""

from __future__ import annotations

import pytest

from tests.lint.run import codes_of

SCRIPT = """\
import os

os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"

import random
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.model_selection import train_test_split
from torch.utils.data import DataLoader, Dataset
from torch.utils.checkpoint import checkpoint

SEED = 1234


def seed_everything(seed):
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.cuda.manual_seed_all(seed)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.use_deterministic_algorithms(True)


def seed_worker(worker_id):
    worker_seed = torch.initial_seed() % 2**32
    np.random.seed(worker_seed)
    random.seed(worker_seed)


class Images(Dataset):
    def __init__(self, root):
        self.files = sorted(os.listdir(root))
        self.labels = {name: number for number, name in enumerate(sorted(set(self.files)))}

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        image = np.load(self.files[index])
        if random.random() < 0.5:
            image = image[::-1].copy()
        return image + np.random.randn(*image.shape), self.labels[self.files[index]]


class Linear(nn.Module):
    def __init__(self, n, m):
        super().__init__()
        self.weight = nn.Parameter(torch.Tensor(m, n))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.kaiming_uniform_(self.weight)

    def forward(self, x):
        return F.linear(x, self.weight)


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.one = Linear(64, 64)
        self.two = nn.Linear(64, classes)

    def forward(self, x):
        x = checkpoint(self.one, x, use_reentrant=False)
        x = F.dropout(F.relu(x), 0.5, training=self.training)
        return self.two(x)


def deterministic_index_select(values, dim, index):
    moved = values.transpose(0, dim)
    return moved[index].transpose(0, dim)


def main():
    seed_everything(SEED)
    data = Images("data")
    train, test = train_test_split(range(len(data)), test_size=0.2, random_state=SEED)
    generator = torch.Generator()
    generator.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    order = rng.permutation(train)
    loader = DataLoader(
        torch.utils.data.Subset(data, order), batch_size=64, shuffle=True, num_workers=4,
        worker_init_fn=seed_worker, generator=generator,
    )
    model = Net(10).cuda()
    optimizer = torch.optim.Adam(model.parameters())
    for epoch in range(10):
        for x, y in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x.cuda()), y.cuda())
            loss.backward()
            optimizer.step()


if __name__ == "__main__":
    main()
"""
STRICT = "    torch.use_deterministic_algorithms(True)\n"
NUMPY_SEED = "    np.random.seed(seed)\n"
SEEDED = "    seed_everything(SEED)\n    data"
MODEL = "    model = Net(10).cuda()\n"
LATE = '    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":16:8"\n'
EPOCH = "    for epoch in range(10):\n"
BATCH = "        for x, y in loader:\n"
PLANTS = [
    ("strict mode assigned (A)", STRICT, "    torch.use_deterministic_algorithms = True\n", ["OPL101"]),
    ("the removed set_deterministic (A)", STRICT, "    torch.set_deterministic(True)\n", ["OPL105"]),
    ("no CUBLAS_WORKSPACE_CONFIG (A)", 'os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"\n', "", ["OPL111"]),
    ("strict mode without its argument (B)", STRICT, "    torch.use_deterministic_algorithms()\n", ["OPL103"]),
    ("index_select reads an unknown name (B)", "moved = values.", "moved = tensor.", ["OPL415"]),
    ("a worker seed that ignores torch (B)", "torch.initial_seed() % 2**32", "SEED", ["OPL303", "OPL303"]),
    ("no generator (B)", ", generator=generator,\n    )", ",\n    )", ["OPL301"]),
    ("dropout without training (D)", ", 0.5, training=self.training", "", ["OPL401"]),
    ("dropout with training=True (D)", "training=self.training", "training=True", ["OPL402"]),
    ("a random dropout rate (D)", "(F.relu(x), 0.5,", "(F.relu(x), torch.rand(1).item(),", ["OPL411"]),
    ("reset_parameters is forgotten (D)", "        self.reset_parameters()\n", "", ["OPL412"]),
    ("seeded after the model was built (E)", None, None, ["OPL211"]),
    ("a flag called", "cudnn.deterministic = True", "cudnn.deterministic(True)", ["OPL102"]),
    ("warn_only", "algorithms(True)", "algorithms(True, warn_only=True)", ["OPL104"]),
    ("cudnn.benchmark", "benchmark = False", "benchmark = True", ["OPL106"]),
    ("PYTHONHASHSEED too late", NUMPY_SEED, NUMPY_SEED + '    os.environ["PYTHONHASHSEED"] = str(seed)\n', ["OPL107"]),
    ("a workspace without its colon", '":4096:8"', '"4096:8"', ["OPL113"]),
    ("a workspace after CUDA began", MODEL, MODEL + LATE, ["OPL112"]),
    ("NumPy not seeded", NUMPY_SEED, "", ["OPL201"]),
    ("random not seeded", "    random.seed(seed)\n", "", ["OPL201"]),
    ("only CUDA seeded", "    torch.manual_seed(seed)\n", "", ["OPL201"]),
    ("a seed from the clock", "SEED = 1234", "import time\nSEED = int(time.time())", ["OPL202"] * 3),
    ("a seed from the process", SEEDED, SEEDED.replace("SEED", "os.getpid()"), ["OPL202"]),
    ("seeded without a number", "random.seed(seed)\n    np", "random.seed()\n    np", ["OPL203"]),
    ("a hash as seed", SEEDED, SEEDED.replace("SEED", 'hash("train")'), ["OPL204"]),
    ("seeded for every batch", BATCH, BATCH + "            torch.manual_seed(0)\n", ["OPL212"]),
    ("seeded in every epoch", EPOCH, EPOCH + "        seed_everything(SEED)\n", ["OPL213"]),
    ("a NumPy generator without seed", "default_rng(SEED)", "default_rng()", ["OPL221"]),
    ("a random generator without seed", "    rng =", "    other = random.Random()\n    rng =", ["OPL222"]),
    ("a torch generator without seed", "    generator.manual_seed(SEED)\n", "", ["OPL223"]),
    ("workers without worker_init_fn", "worker_init_fn=seed_worker, ", "", ["OPL302"]),
    ("files in any order", "sorted(os.listdir(root))", "os.listdir(root)", ["OPL312"]),
    ("files in any order, by pathlib", "sorted(os.listdir(root))", 'list(Path(root).glob("*.npy"))', ["OPL312"]),
    ("labels in the order of a set", "enumerate(sorted(set(self.files)))", "enumerate(set(self.files))", ["OPL313"]),
    ("checkpointing without the state", "use_reentrant", "preserve_rng_state=False, use_reentrant", ["OPL413"]),
]  # fmt: skip


def planted(old: str | None, new: str | None) -> str:
    if old is None or new is None:
        late = SCRIPT.replace("    seed_everything(SEED)\n", "", 1)
        return late.replace(MODEL, MODEL + "    seed_everything(SEED)\n")
    assert SCRIPT.count(old) >= 1, old
    return SCRIPT.replace(old, new, 1)


def test_the_corrected_script_is_clean() -> None:
    assert codes_of(SCRIPT) == []


@pytest.mark.parametrize(("old", "new", "codes"), [pytest.param(*plant[1:], id=plant[0]) for plant in PLANTS])
def test_a_planted_mistake_is_found_and_nothing_else(old: str | None, new: str | None, codes: list[str]) -> None:
    assert codes_of(planted(old, new)) == codes


LIGHTNING = """\
import lightning as L
import torch
from torch import nn


class Mlp(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))

    def training_step(self, batch, index):
        x, y = batch
        return nn.functional.cross_entropy(self.layers(x), y)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-4)


{before}model = Mlp()
{after}trainer = L.Trainer(max_epochs=2{trainer})
trainer.fit(model)
"""
SEED_LINE = "L.seed_everything(1, workers=True)\n"
KERAS = """\
import tensorflow as tf

{seeds}model = tf.keras.Sequential([tf.keras.layers.Dense(128, activation="relu"), tf.keras.layers.Dense(10)])
model.compile(loss="mse")
first = model.fit(x, y).history["loss"]
"""


@pytest.mark.parametrize(("before", "after", "trainer", "codes"), [
    pytest.param(SEED_LINE, "", ", deterministic=True", [], id="right"),
    pytest.param("", SEED_LINE, ", deterministic=True", ["OPL211"], id="seeded after the model was built"),
    pytest.param(SEED_LINE, "", "", ["OPL121"], id="the Trainer is not deterministic"),
    pytest.param("L.seed_everything(1)\n", "", ", deterministic=True", ["OPL122"], id="workers forgotten"),
    pytest.param(SEED_LINE, "", ', deterministic="warn"', ["OPL104"], id="only a warning"),
    pytest.param(SEED_LINE, "", ", deterministic=True, benchmark=True", ["OPL106"], id="benchmark"),
])  # fmt: skip
def test_lightning(before: str, after: str, trainer: str, codes: list[str]) -> None:
    assert codes_of(LIGHTNING.format(before=before, after=after, trainer=trainer)) == codes


@pytest.mark.parametrize(("seeds", "codes"), [
    pytest.param(
        "tf.keras.utils.set_random_seed(1)\ntf.config.experimental.enable_op_determinism()\n", [], id="right"
    ),
    pytest.param("tf.keras.utils.set_random_seed(1)\n", ["OPL125"], id="seeds alone"),
    pytest.param("tf.config.experimental.enable_op_determinism()\n", ["OPL123"], id="op determinism without a seed"),
    pytest.param(
        'import os\nos.environ["TF_DETERMINISTIC_OPS"] = "1"\ntf.random.set_seed(1)\n', ["OPL124"], id="the variable"
    ),
    pytest.param(
        "tf.keras.utils.set_random_seed = 1\ntf.config.experimental.enable_op_determinism()\n",
        ["OPL101", "OPL123"], id="assigned",
    ),
])  # fmt: skip
def test_keras(seeds: str, codes: list[str]) -> None:
    assert codes_of(KERAS.format(seeds=seeds)) == codes


def test_a_split_without_seed_where_numpy_is_not_seeded() -> None:
    code = "from sklearn.model_selection import train_test_split\na, b = train_test_split(range(9){})\n"
    assert codes_of(code.format("")) == ["OPL311"]
    assert codes_of(code.format(", random_state=0")) == []

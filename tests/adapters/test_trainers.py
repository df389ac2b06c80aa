"""Lightning and Accelerate: what they expect of datasets and loaders."""

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader  # noqa: E402

import fastpack.torch as ft  # noqa: E402
from fastpack.loading.loader import Loader  # noqa: E402

BATCH = 4


def expected(reader, epochs, **options):
    loader = Loader(reader, batch_size=BATCH, **options)
    return [list(batch["key"]) for _ in range(epochs) for batch in loader]


# Lightning


@pytest.fixture
def lightning():
    with warnings.catch_warnings(action="ignore"):  # its imports warn of many things
        return pytest.importorskip("lightning")


def model_of(lightning, save_at=None, path=None):
    class Model(lightning.LightningModule):
        """Writes down what it sees; after `save_at` batches it saves all and stops."""

        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(16 * 12 * 3, 7)
            self.seen = []

        def training_step(self, batch, _):
            self.seen.append(batch["key"])
            images = batch["image"].flatten(1).float() / 255
            return torch.nn.functional.cross_entropy(self.layer(images), batch["label"])

        def on_train_batch_end(self, *_):
            if len(self.seen) == save_at:
                self.trainer.save_checkpoint(path)
                self.trainer.should_stop = True

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.01)

    return Model()


def train(lightning, model, batches, **options):
    quiet = {
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "logger": False,
        "enable_checkpointing": False,
    }
    resumed = (
        {"ckpt_path": options.pop("resume"), "weights_only": False} if "resume" in options else {}
    )
    trainer = lightning.Trainer(accelerator="cpu", devices=1, **quiet, **options)
    trainer.fit(model, batches, **resumed)
    return trainer


@pytest.mark.filterwarnings("ignore")
def test_lightning_trains_on_a_loader(reader, lightning):
    model = model_of(lightning)
    train(lightning, model, ft.Loader(reader, batch_size=BATCH, shuffle=1), max_epochs=2)
    assert model.seen == expected(reader, 2, shuffle=1)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("save_at", [3, 10])
def test_lightning_resumes_in_the_middle_of_an_epoch(reader, tmp_path, lightning, save_at):
    first, second = model_of(lightning, save_at, tmp_path / "state.ckpt"), model_of(lightning)
    train(lightning, first, ft.Loader(reader, batch_size=BATCH, shuffle=1), max_epochs=3)
    train(
        lightning,
        second,
        ft.Loader(reader, batch_size=BATCH, shuffle=1),
        max_epochs=3,
        resume=tmp_path / "state.ckpt",
    )
    assert first.seen + second.seen == expected(reader, 3, shuffle=1)


@pytest.mark.filterwarnings("ignore")
def test_lightning_resumes_between_epochs(reader, tmp_path, lightning):
    """The trainer does not restore loaders then, but sets their epoch."""
    first, second = model_of(lightning), model_of(lightning)
    trainer = train(lightning, first, ft.Loader(reader, batch_size=BATCH, shuffle=1), max_epochs=2)
    trainer.save_checkpoint(tmp_path / "state.ckpt")
    train(
        lightning,
        second,
        ft.Loader(reader, batch_size=BATCH, shuffle=1),
        max_epochs=4,
        resume=tmp_path / "state.ckpt",
    )
    assert first.seen + second.seen == expected(reader, 4, shuffle=1)


@pytest.mark.filterwarnings("ignore")
def test_lightning_trains_on_a_dataset(reader, lightning):
    model = model_of(lightning)
    batches = DataLoader(ft.Dataset(reader), batch_size=BATCH, collate_fn=ft.collate)
    train(lightning, model, batches, max_epochs=2)
    assert model.seen == expected(reader, 1) * 2


def with_evaluation(model):
    """Writes down what each stage sees."""
    model.stages = {"validate": [], "test": [], "predict": []}

    def step_of(stage):
        def step(self, batch, batch_idx):
            self.stages[stage].append(batch["key"])
            return self.layer(batch["image"].flatten(1).float() / 255)

        return step

    for stage, name in (
        ("validate", "validation_step"),
        ("test", "test_step"),
        ("predict", "predict_step"),
    ):
        setattr(type(model), name, step_of(stage))
    return model


QUIET = {
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "logger": False,
    "enable_checkpointing": False,
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("checked", [0, 2])
def test_lightning_validates_all_of_a_loader(reader, lightning, checked):
    """Also after the sanity check, which leaves the loader in the middle of an epoch."""
    model = with_evaluation(model_of(lightning))
    trainer = lightning.Trainer(
        accelerator="cpu", devices=1, max_epochs=2, num_sanity_val_steps=checked, **QUIET
    )
    trainer.fit(
        model, ft.Loader(reader, batch_size=BATCH, shuffle=1), ft.Loader(reader, batch_size=BATCH)
    )
    assert model.seen == expected(reader, 2, shuffle=1)
    assert model.stages["validate"] == expected(reader, 1)[:checked] + expected(reader, 1) * 2


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
@pytest.mark.parametrize("limit", [1.0, 3])
def test_lightning_evaluates_on_a_loader(reader, lightning, stage, limit):
    """Twice, and each time from the beginning, however many batches it takes."""
    model = with_evaluation(model_of(lightning))
    limits = {f"limit_{name}_batches": limit for name in ("val", "test", "predict")}
    trainer, loader = (
        lightning.Trainer(accelerator="cpu", devices=1, **QUIET, **limits),
        ft.Loader(reader, batch_size=BATCH),
    )
    for _ in range(2):
        getattr(trainer, stage)(model, loader)
    wanted = expected(reader, 1)
    assert model.stages[stage] == (wanted if limit == 1.0 else wanted[:limit]) * 2


@pytest.mark.filterwarnings("ignore")
def test_lightning_epochs_that_are_left_unfinished(reader, lightning):
    model = model_of(lightning)
    train(
        lightning,
        model,
        ft.Loader(reader, batch_size=BATCH, shuffle=1),
        max_epochs=2,
        limit_train_batches=3,
    )
    assert model.seen == expected(reader, 2, shuffle=1)[:3] + expected(reader, 2, shuffle=1)[7:10]


# Accelerate


@pytest.fixture
def accelerator():
    with warnings.catch_warnings(action="ignore"):
        return pytest.importorskip("accelerate").Accelerator(cpu=True)


def test_accelerate_prepares_datasets(reader, accelerator):
    """The trainer calls set_epoch of datasets that have it."""
    dataset = ft.Dataset(reader)
    batches = accelerator.prepare(DataLoader(dataset, batch_size=BATCH, collate_fn=ft.collate))
    for epoch in range(2):
        images = torch.cat([batch["image"] for batch in batches])
        expected = reader.read(range(26), epoch=epoch)["image"]
        assert (images.numpy() == np.moveaxis(expected, -1, -3)).all()


def test_accelerate_prepares_iterable_datasets(reader, accelerator):
    batches = accelerator.prepare(
        DataLoader(ft.IterableDataset(reader, batch_size=BATCH, shuffle=1), batch_size=None)
    )
    keys = [batch["key"] for _ in range(2) for batch in batches]
    assert keys == expected(reader, 2, shuffle=1)
    assert len(batches) == 7


def test_accelerate_leaves_loaders_alone(reader, accelerator):
    loader = ft.Loader(reader, batch_size=BATCH)
    assert accelerator.prepare(loader) is loader
    accelerator.register_for_checkpointing(loader)


def test_accelerate_saves_loaders(reader, accelerator, tmp_path):
    loader = ft.Loader(reader, batch_size=BATCH, shuffle=1)
    accelerator.register_for_checkpointing(loader)
    batches = iter(loader)
    next(batches), next(batches)
    accelerator.save_state(tmp_path / "state")
    list(batches)
    accelerator.load_state(tmp_path / "state")
    assert [batch["key"] for batch in loader] == expected(reader, 1, shuffle=1)[2:]

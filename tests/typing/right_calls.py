"""A user's program with right calls: mypy --strict and pyright accept it."""

from typing import Unpack

import numpy as np

import fastpack
import fastpack.jax
import fastpack.tensorflow
import fastpack.torch
from fastpack.loading import LoaderKwargs, LoaderOptions
from fastpack.reading import OpenKwargs

packed = fastpack.pack(
    "photos", "train.tfrecord", fastpack.PackOptions(size=(224, 224), num_workers=2)
)
packed = fastpack.pack("photos", "train.h5", size=224, overwrite=True, shard_size="1GB")
num_packed: int = packed.num_samples

dataset = fastpack.open(
    "train.tfrecord",
    transform=[fastpack.RandomResizedCrop(224), fastpack.HorizontalFlip()],
    seek_points="lazy",
    num_workers=4,
)
dataset = fastpack.open(
    ["a.h5", "b.h5"],
    fields={"picture": "image/encoded"},
    axes={"X": "NCHW"},
    kinds={"caption": "text"},
    classes=["cat", "dog"],
    class_folder="last",
    sidecars=["txt"],
    index_dir="indexes",
    save_index=False,
    allow_external=True,
    untrusted=True,
    color="GRAY",
    bits=16,
    on_error="mask",
)
dataset = fastpack.open("x.tfrecord", fastpack.ReadOptions(decode=False), seek_points=True)
dataset = dataset.with_options(transform=None, interpolation="bicubic", limits=fastpack.Limits())
dataset = fastpack.concat([dataset, dataset[:3], dataset.take(np.arange(3))])
parts = dataset.split({"train": 0.9, "val": 0.1}, by="index", seed=1)
label: object = dataset[np.int64(3)]["label"]
batch: fastpack.Batch = dataset.read([1, np.int32(2)], epoch=np.int64(1))

loader = fastpack.Loader(dataset, batch_size=64, shuffle=True, rank="auto", transform=None)
loader = fastpack.Loader(dataset, LoaderOptions(batch_size=8), shuffle=fastpack.Shuffle(7))
loader.set_epoch(np.int64(2))
batch = loader.peek()
batches: list[fastpack.Batch] = list(loader)

fastpack.torch.Loader(dataset, batch_size=64, pin_memory=True, channels_last=True)
fastpack.torch.IterableDataset(dataset, batch_size=64, shuffle=3)
fastpack.torch.Dataset(dataset, channels_last=True)
fastpack.tensorflow.Loader(dataset, batch_size=64, drop_last=True)
fastpack.jax.Loader(dataset, batch_size=64, prefetch=0, sharding=None)


def open_training_set(**options: Unpack[OpenKwargs]) -> fastpack.Reader:
    return fastpack.open("train.tfrecord", **options)


def load(dataset: fastpack.Reader, **options: Unpack[LoaderKwargs]) -> fastpack.Loader:
    return fastpack.Loader(dataset, **options)

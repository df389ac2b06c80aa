"""A user's program with wrong calls: each marked line is an error that names the option."""

import fastpack
import fastpack.jax
import fastpack.tensorflow
import fastpack.torch
from fastpack.loading import LoaderOptions

dataset = fastpack.open("train.tfrecord")

fastpack.open("train.tfrecord", trasform=None)  # E: trasform
fastpack.open("train.tfrecord", transform="flip")  # E: transform
fastpack.open("train.tfrecord", seek_points="learn")  # E: seek_points
fastpack.open("train.tfrecord", interpolation="cubic")  # E: interpolation
fastpack.open("train.tfrecord", decode="no")  # E: decode
fastpack.open("train.tfrecord", class_folder="middle")  # E: class_folder
fastpack.open("train.tfrecord", index_dir=3)  # E: index_dir
fastpack.open("train.tfrecord", batch_size=3)  # E: batch_size
fastpack.ReadOptions(colors="RGB")  # E: colors
fastpack.ReadOptions(color="YUV")  # E: color
dataset.with_options(on_error="ignore")  # E: on_error
dataset.with_options(index_dir="x")  # E: index_dir
dataset.split({"train": 1.0}, by="number")  # E: by

fastpack.Loader(dataset, batchsize=3)  # E: batchsize
fastpack.Loader(dataset, batch_size="3")  # E: batch_size
fastpack.Loader(dataset, rank="first")  # E: rank
fastpack.Loader(dataset, shuffle="yes")  # E: shuffle
LoaderOptions(drop_first=True)  # E: drop_first
fastpack.torch.Loader(dataset, pinned=True)  # E: pinned
fastpack.torch.Loader(dataset, channels_last="yes")  # E: channels_last
fastpack.torch.IterableDataset(dataset, prefetch=None)  # E: prefetch
fastpack.tensorflow.Loader(dataset, world="2")  # E: world
fastpack.jax.Loader(dataset, pad_last=3)  # E: pad_last

fastpack.pack("photos", "train.tfrecord", overwrit=True)  # E: overwrit
fastpack.pack("photos", "train.tfrecord", overwrite="yes")  # E: overwrite
fastpack.pack("photos", "train.tfrecord", layout="rows")  # E: layout
fastpack.pack("photos", "train.tfrecord", sizes=224)  # E: sizes
fastpack.pack("photos", "train.tfrecord", shards="3")  # E: shards
fastpack.convert("train.tfrecord", "train.h5", shards="3")  # E: shards
fastpack.PackOptions(sizes=(224, 224))  # E: sizes
fastpack.PackOptions(layout="rows")  # E: layout

"""tf.train.Example as TensorFlow writes and parses it."""

import pytest
from hypothesis import strategies as st

tf = pytest.importorskip("tensorflow")
KINDS = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int", None: "absent"}


def parsed(data):
    """Feature name -> (kind, values), as protobuf has it."""
    return values_of(tf.train.Example.FromString(data))


def values_of(message):
    features = message.features.feature
    kinds = {name: feature.WhichOneof("kind") for name, feature in features.items()}
    return {
        name: (KINDS[kind], list(getattr(features[name], kind).value) if kind else [])
        for name, kind in kinds.items()
    }


names = st.text(max_size=8) | st.sampled_from(["image", "label"])
int64s = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(width=32, allow_nan=False)
value_lists = st.one_of(
    st.tuples(st.just("bytes"), st.lists(st.binary(max_size=30), max_size=5)),
    st.tuples(st.just("float"), st.lists(floats, max_size=5)),
    st.tuples(st.just("int"), st.lists(int64s, max_size=5)),
)
MESSAGES = {
    "bytes": (tf.train.BytesList, "bytes_list"),
    "float": (tf.train.FloatList, "float_list"),
    "int": (tf.train.Int64List, "int64_list"),
}


def feature_of(kind, values):
    message, attribute = MESSAGES[kind]
    return tf.train.Feature(**{attribute: message(value=values)})


def serialised(features):
    made = {name: feature_of(*feature) for name, feature in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=made)).SerializeToString()

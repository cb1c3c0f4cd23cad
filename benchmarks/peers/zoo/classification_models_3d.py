"""classification-models-3D, by the paper's authors: Keras 3 on TensorFlow, as a traced graph.

The interpreter is that of an environment without PyTorch, on the CPU.
"""

from __future__ import annotations

import math
import os
from importlib.metadata import version

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf
from _zoo_worker import Contender, Job, Task, serve
from classification_models_3D.kkeras import Classifiers

NOTES = {"resnet18": "pre-activation, one more 1×1 shortcut"}


def build(task: Task) -> Job | None:
    """See `Contender.build`; forward passes alone."""
    if task.network not in Classifiers.models_names() or task.what != "forward":
        return None
    tf.config.threading.set_intra_op_parallelism_threads(task.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(0)
    make, _ = Classifiers.get(task.network)
    shape = (*task.size, 3)
    trunk = make(input_shape=shape, include_top=False, pooling="avg", weights=None)
    model = keras.Model(trunk.input, keras.layers.Dense(1)(trunk.output))
    volumes = tf.constant(np.moveaxis(task.input(), 1, -1))  # (n, z, y, x, c)
    graph = tf.function(lambda x: model(x, training=False)).get_concrete_function(volumes)
    macs = [macs_of(layer) for layer in model.layers]
    return Job(
        run=lambda: graph(volumes).numpy(),
        macs=sum(macs),
        training_macs=0,
        parameters=sum(math.prod(weight.shape) for weight in model.trainable_weights),
        note=NOTES.get(task.network, ""),
    )


def macs_of(layer: keras.Layer) -> int:
    """Multiply-accumulates of a convolution or linear layer for one volume."""
    if not isinstance(layer, keras.layers.Conv3D | keras.layers.Dense):
        return 0
    return math.prod(layer.output.shape[1:]) * math.prod(layer.kernel.shape[:-1])


if __name__ == "__main__":
    serve(
        Contender(
            name=f"classification-models-3D {version('classification-models-3D')}",
            licence="MIT",
            runtime=f"Keras {keras.__version__}, TensorFlow {tf.__version__}, graph",
            build=build,
        )
    )

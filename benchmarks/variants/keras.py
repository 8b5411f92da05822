"""Keras on TensorFlow: `model.fit` on arrays, with Keras' own augmentation layers in the model.

Keras' guides show augmentation in the model and in a pipeline of tf.data; this was the faster of the two here.
"""

import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf
from keras import layers

from benchmarks.measuring import Job, Watch, run_variant

#: The numbers that PyTorch's batch normalisation has: a running average keeps 0.9 of itself.
BATCH_NORM = {"momentum": 0.9, "epsilon": 1e-5}


def flagship(job: Job, images: Any) -> Any:
    """C16 C16+ c16 P C32 C32+ C32+ c12 P C32 C32+ C32+ G"""
    activation, init = job.model["activation"], job.model["init"]

    def convolve(inputs: Any, filters: int) -> Any:
        outputs = layers.Conv2D(filters, 3, padding="same", use_bias=False, kernel_initializer=init)(inputs)
        return layers.Activation(activation)(layers.BatchNormalization(**BATCH_NORM)(outputs))

    def add(inputs: Any, filters: int) -> Any:
        return layers.Add()([convolve(inputs, filters), inputs])

    maps = add(convolve(images, 16), 16)
    maps = layers.Conv2D(16, 1, kernel_initializer=init)(maps)
    maps = layers.MaxPooling2D()(maps)
    maps = add(add(convolve(maps, 32), 32), 32)
    maps = layers.Conv2D(12, 1, kernel_initializer=init)(maps)
    maps = layers.MaxPooling2D()(maps)
    maps = add(add(convolve(maps, 32), 32), 32)
    return layers.GlobalAveragePooling2D()(maps)


def n10(job: Job, images: Any) -> Any:
    """C32 C32v P C64v C64v P F L512"""
    chosen = {"activation": job.model["activation"], "kernel_initializer": job.model["init"]}
    maps = layers.Conv2D(32, 3, padding="same", **chosen)(images)
    maps = layers.Conv2D(32, 3, **chosen)(maps)
    maps = layers.MaxPooling2D()(maps)
    maps = layers.Conv2D(64, 3, **chosen)(maps)
    maps = layers.Conv2D(64, 3, **chosen)(maps)
    maps = layers.MaxPooling2D()(maps)
    return layers.Dense(512, **chosen)(layers.Flatten()(maps))


def mlp(*widths: int) -> Callable[[Job, Any], Any]:
    """F L<width> L<width> ..."""

    def build(job: Job, images: Any) -> Any:
        vectors = layers.Flatten()(images)
        for width in widths:
            vectors = layers.Dense(width, activation=job.model["activation"], kernel_initializer=job.model["init"])(
                vectors
            )
        return vectors

    return build


#: By their lines in params.yaml: a line that changes there must change here.
FEATURES = {
    ("C16 C16+ c16 P C32 C32+ C32+ c12 P C32 C32+ C32+ G", "batch"): flagship,
    ("C32 C32v P C64v C64v P F L512", "none"): n10,
    ("F L600 L300", "none"): mlp(600, 300),
    ("F L128", "none"): mlp(128),
}


def make_model(job: Job) -> keras.Model:
    """From raw pixels to logits; augmentation is a part of it, and rests outside of training."""
    images = keras.Input(job.image_shape)
    seen = images
    if job.augment:
        height, width, _ = job.image_shape
        seen = layers.RandomFlip("horizontal")(seen)
        seen = layers.RandomTranslation(4 / height, 4 / width, fill_mode="constant", interpolation="nearest")(seen)
    seen = layers.Normalization(mean=job.mean, variance=[std**2 for std in job.std])(seen)
    features = FEATURES[job.model["layers"], job.model["norm"]](job, seen)
    return keras.Model(images, layers.Dense(job.classes, kernel_initializer=job.model["init"])(features))


class Listener(keras.callbacks.Callback):
    def __init__(self, job: Job, watch: Watch, count: int) -> None:
        super().__init__()
        self.job = job
        self.watch = watch
        self.count = count  # of training images

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.watch.batch(min(self.job.batch_size, self.count - batch * self.job.batch_size))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.job.validates:
            self.watch.epoch(float(logs["val_accuracy"]))


def train(job: Job, watch: Watch) -> None:
    keras.utils.set_random_seed(job.seed)
    tf.config.threading.set_intra_op_parallelism_threads(job.threads)
    tf.config.threading.set_inter_op_parallelism_threads(job.threads)
    images, labels = job.load("train")
    model = make_model(job)
    watch.begin(sum(weights.shape.num_elements() for weights in model.trainable_variables))
    steps = job.epochs * -(-len(images) // job.batch_size)
    rise = int(job.rise * steps)
    rate = keras.optimizers.schedules.CosineDecay(job.lr / 25, steps - rise, warmup_target=job.lr, warmup_steps=rise)
    # Keras shrinks the weights directly; PyTorch's decay goes through the momentum, which multiplies it.
    decay = job.weight_decay / (1 - job.momentum)
    model.compile(
        keras.optimizers.SGD(rate, momentum=job.momentum, nesterov=True, weight_decay=decay),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(
        images,
        labels,
        batch_size=job.batch_size,
        epochs=job.epochs,
        validation_data=job.load("validation") if job.validates else None,
        validation_batch_size=500,
        callbacks=[Listener(job, watch, len(images))],
        verbose=0,
    )


if __name__ == "__main__":
    run_variant(train)

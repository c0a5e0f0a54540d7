"""A layer that the study imports: it is not registered, and its `__init__` takes no name."""

import keras


class Scale(keras.layers.Layer):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, inputs):
        return inputs * self.factor

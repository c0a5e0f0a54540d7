"""A worker's process and its trials, without Keras: an objective in any framework can use them."""

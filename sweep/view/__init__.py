"""Reading a store: which runs there are, how they compare, what is exported. Reads only, and loads no TensorFlow."""

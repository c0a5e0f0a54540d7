"""The service: an HTTP API, a page and TensorBoard for every study of a store, behind one login."""

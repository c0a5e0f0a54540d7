"""The HTTP API by resource: each module has a `router`, and `create_app` includes them all."""

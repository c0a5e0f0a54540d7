"""Durations as people read them, on the command line and on the pages."""


def duration(seconds: float | None) -> str:
    """A duration for people: `0.8s`, `42s`, `3m07s`, `2h05m`, `3d04h`."""
    if seconds is None:
        return ""
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    for unit, smaller, size, part in (("d", "h", 86400, 3600), ("h", "m", 3600, 60), ("m", "s", 60, 1)):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // part:02d}{smaller}"
    return f"{whole}s"

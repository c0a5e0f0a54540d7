"""How many files and sockets this process, and those that it starts, may have open."""

import resource


def raise_limit(wanted: int) -> int:
    """Raise the limit of open files as far as this user may, at most to `wanted`; returns the limit that holds now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    except (ValueError, OSError):  # macOS has a limit of its own below an infinite one
        return soft
    return allowed

"""What the command line prints when it refuses something."""


def refusal_of(printed: str) -> str:
    """A refusal in one line, after a look at its form: what happened, and perhaps what to do, indented below it."""
    first, *more = printed.splitlines()
    assert first.startswith("sweep: "), printed
    assert len(more) <= 1, printed
    assert all(line.startswith(" " * len("sweep: ")) for line in more), printed
    return " ".join([first, *(line.strip() for line in more)])

"""A terminal as Rich draws on it, where what others wrote moves no cursor."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from sweep.words import plain


class Screen(Console):
    """Rich's console. Texts hold what users and their programs wrote: their escape sequences are not printed."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What is to be printed of something, piece by piece."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=plain(segment.text))

    def on_broken_pipe(self) -> None:
        """Leave it to who prints: Rich would end the thread."""
        raise BrokenPipeError

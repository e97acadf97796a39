"""What the person at the terminal sees: one line a phase, with its progress and the time it took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text


@dataclass(slots=True)
class Phase:
    """A step under way: `tell` what it is at, `count` how far it is."""

    progress: Progress
    task: TaskID

    def tell(self, detail: str) -> None:
        self.progress.update(self.task, detail=detail)

    def count(self, done: float, total: float | None = None, detail: str | None = None) -> None:
        if total is not None:
            self.progress.update(self.task, total=total)
        self.progress.update(self.task, completed=done)
        if detail is not None:
            self.tell(detail)


@dataclass(slots=True)
class Screen:
    """Progress goes to standard error, so that standard output holds results alone."""

    console: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))
    timings: dict[str, float] = field(default_factory=dict)
    """Seconds each phase has taken, by its title."""

    @contextmanager
    def phase(self, title: str, total: float | None = None) -> Iterator[Phase]:
        """A phase of known or unknown length; it leaves one line behind when it succeeds."""
        began = time.monotonic()
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description:<28}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[detail]}"),
        )
        shown = self.console.is_terminal
        if not shown:
            self.console.print(f"… {title}")
        with Progress(*columns, console=self.console, transient=True, disable=not shown) as progress:
            phase = Phase(progress, progress.add_task(title, total=total, detail=""))
            yield phase
            detail = progress.tasks[0].fields["detail"]
        seconds = self.timings[title] = time.monotonic() - began
        self.console.print(f"[green]✓[/] {title:<28} {seconds:6.1f} s  [dim]{detail}[/]", soft_wrap=True)

    def say(self, text: str) -> None:
        """A line as it is, never broken: it may be copied into a shell."""
        self.console.print(text, soft_wrap=True)

    @contextmanager
    def status_line(self) -> Iterator[Live]:
        """A line that is rewritten in place; silent where there is no terminal."""
        with Live(Text(""), console=self.console, refresh_per_second=2, transient=True) as live:
            yield live

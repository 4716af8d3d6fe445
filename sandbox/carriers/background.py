"""Work that runs beside a carrier's requests, until it is done or the carrier is reset."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

Spawn = Callable[[Coroutine[Any, Any, None]], object]


class Background:
    """A carrier's tasks. `stopping` is set when they are stopped, for whoever keeps a request waiting."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work in the background."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Cancel everything and wait for it; afterwards new work may be spawned again."""
        self.stopping.set()
        self.stopping = asyncio.Event()
        while self._tasks:
            tasks = set(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self._tasks -= tasks

"""Write TensorBoard's event files in the calling thread.

tensorboardX's own writer has a thread and a queue, and waits forever once its thread has failed.
"""

import time
from pathlib import Path

import numpy as np
from PIL import Image
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog

FLUSH_SECONDS = 30


class Board:
    """Writes scalars and pictures to a new event file in `folder`; TensorBoard drops older events from `purge_step` on.

    Every method raises OSError if the file cannot be written.
    """

    def __init__(self, folder: Path, purge_step: int):
        folder.mkdir(parents=True, exist_ok=True)
        self._writer, self._flushed = EventsWriter(str(folder / "events")), time.monotonic()
        self._add(purge_step, session_log=SessionLog(status=SessionLog.START))

    def scalars(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._add(step, summary=summary.scalar(name, value))

    def picture(self, step: int, name: str, image: Image.Image) -> None:
        self._add(step, summary=summary.image(name, np.asarray(image), dataformats="HWC"))

    def _add(self, step: int, **content) -> None:
        self._writer.write_event(Event(step=step, wall_time=time.time(), **content))
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self._writer.flush()
            self._flushed = time.monotonic()

    def close(self) -> None:
        self._writer.close()

"""The kinds of data that runs learn from: one module for each task, with its `TASK`."""

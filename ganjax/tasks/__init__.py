"""What the data of a run are: one file for each task, with `TASK`."""

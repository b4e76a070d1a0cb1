"""Run launch.py as a user would, and read what it wrote without the package."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

ROOT = Path(__file__).parent.parent
CONFIGS = sorted(path for path in (ROOT / "configs").glob("**/[!_]*.py") if path.parent.name != "sweeps")
DATA = ROOT.parent / "shared" / "data"  # real images, on some machines


def environment(devices: int = 1) -> dict[str, str]:
    """Return the environment of a process of its own with so many devices of the CPU, and the tests' XLA_FLAGS."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    return {**os.environ, "XLA_FLAGS": flags.strip(), "PYTHONPATH": str(ROOT)}


def launch(*args, devices: int = 1, **options) -> subprocess.CompletedProcess:
    """Run launch.py as a user would, with the tests' XLA_FLAGS; return its output, both streams in stdout."""
    command = [sys.executable, str(ROOT / "launch.py"), *map(str, args)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.run(command, env=environment(devices), timeout=600, **streams, **options)


def read_state(workdir: Path, step: int) -> dict[str, np.ndarray]:
    """Return {leaf path: array} of a checkpoint's whole state, read without the package."""
    path = (Path(workdir) / "checkpoints" / str(step) / "state").resolve()
    reader = ocp.PyTreeCheckpointer()
    tree = reader.metadata(path).item_metadata.tree
    numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
    restored = reader.restore(path, args=ocp.args.PyTreeRestore(item=tree, restore_args=numpy))
    return {jax.tree_util.keystr(k): np.asarray(v) for k, v in jax.tree_util.tree_leaves_with_path(restored)}


def assert_same(a: dict, b: dict) -> None:
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)

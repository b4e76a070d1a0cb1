"""Damaged checkpoints: both readers give the right arrays, or refuse."""

import contextlib
import functools
import shutil
import tempfile
from pathlib import Path

import numpy as np
from fuzz.harness import demand, folder


@functools.cache
def _whole_checkpoint() -> Path:
    """Return a folder with a checkpoint of two small networks at step 3, made once in each worker."""
    import atexit

    from ganjax.config.groups import base
    from ganjax.workdir.checkpoint import Checkpointer

    root = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    with Checkpointer(root / "checkpoints", base().checkpoint, 10) as checkpointer:
        checkpointer.save(3, _state(), {"data": "abc", "interval": {"sums": {}, "count": 0}}, {})
    return root / "checkpoints"


def _state():
    import jax.numpy as jnp
    import optax

    from ganjax.state import State, TrainState

    def net(scale):
        weights = {"w": scale * jnp.arange(300.0).reshape(20, 15), "b": jnp.ones(15)}
        return TrainState.from_variables(None, {"params": weights}, optax.adam(1.0))

    networks = {"generator": net(1), "discriminator": net(2)}
    return State.create(networks, ("generator",), {"pool": jnp.arange(3)}).replace(step=jnp.int32(3))


def damaged(seed: int, index: int) -> None:
    """Damage one to three files of a checkpoint, of the first none: both readers give the right arrays, or refuse."""
    import jax

    from ganjax.config.groups import base
    from ganjax.system import devices
    from ganjax.workdir import checkpoint

    rng = np.random.default_rng([seed, index])
    with folder() as root:
        shutil.copytree(_whole_checkpoint(), root / "checkpoints")
        paths = sorted(path for path in (root / "checkpoints").rglob("*"))
        for path in rng.choice(np.array(paths, object), rng.integers(1, 4) if index else 0, replace=False):
            _damage(rng, path)
        whole, one = _state(), devices.replicated(devices.make_mesh(1, 1))
        ends = []
        with _refusals(ends):
            ema, meta = checkpoint.load_ema(root / "checkpoints")
            _same(ema, whole.ema)
            demand(meta["step"] == 3 and meta["data"] == "abc", "the meta of a damaged checkpoint was believed")
        shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=one), jax.eval_shape(_state))
        with _refusals(ends), checkpoint.Checkpointer(root / "checkpoints", base().checkpoint, 10) as checkpointer:
            restored = checkpointer.restore(shapes)
            if restored is not None:
                _same(restored[0], whole)
    demand(index > 0 or not ends, f"a whole checkpoint is refused: {ends[:1]}")
    if ends:
        raise ends[0]


@contextlib.contextmanager
def _refusals(ends: list):
    from ganjax.errors import UserError

    try:
        yield
    except UserError as error:
        ends.append(error)


def _same(tree, expected) -> None:
    import jax

    expected = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(expected)}
    found = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
    demand(found.keys() == expected.keys(), "leaves are missing, or too many")
    demand(all(np.array_equal(found[name], expected[name]) for name in found), "wrong arrays were restored")


def _damage(rng: np.random.Generator, path: Path) -> None:
    kind = rng.integers(5)
    if not path.exists():
        return
    if kind == 0:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    elif kind == 1:
        path.rename(path.with_name(f"{path.name}{rng.integers(10)}"))
    elif path.is_file():
        data = bytearray(path.read_bytes() or b"\0")
        if kind == 2:
            data = data[: rng.integers(len(data))]
        else:
            for place in rng.integers(len(data), size=rng.integers(1, 5)):
                data[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)

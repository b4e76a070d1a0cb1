"""GANs for art on JAX."""

from typing import TYPE_CHECKING

from ganjax.errors import UserError

if TYPE_CHECKING:
    from ganjax.model import Model, load

__all__ = ["Model", "UserError", "load"]


def __getattr__(name: str):
    """Import JAX with the first use of `Model` or `load`: `launch.py` watches for signals before that."""
    if name in ("Model", "load"):
        from ganjax import console

        with console.quiet():  # orbax logs as it is imported
            from ganjax import model
        return getattr(model, name)
    raise AttributeError(f"module 'ganjax' has no attribute {name!r}")

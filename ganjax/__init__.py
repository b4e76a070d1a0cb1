"""GANs for art on JAX."""

import os
from typing import TYPE_CHECKING

from ganjax.errors import UserError

if TYPE_CHECKING:
    from ganjax.inference.model import Model, load

__all__ = ["Model", "UserError", "load"]

# In an installed package `ganjax.configs` lies within it. In a checkout `configs` lies beside the package, and is added
# to its path here: otherwise Python could find the configs of another, installed checkout.
if not os.path.isdir(os.path.join(__path__[0], "configs")):
    __path__.append(os.path.dirname(__path__[0]))


def __getattr__(name: str):
    """Import `Model` and `load` at their first use: they import JAX, before which `launch.py` sets up signals."""
    if name in ("Model", "load"):
        from ganjax.system import console

        with console.quiet():  # orbax logs warnings when it is imported
            from ganjax.inference import model
        return getattr(model, name)
    raise AttributeError(f"module 'ganjax' has no attribute {name!r}")

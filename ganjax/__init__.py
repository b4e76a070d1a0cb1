"""GANs for art on JAX."""

import os
from typing import TYPE_CHECKING

from ganjax.errors import UserError

if TYPE_CHECKING:
    from ganjax.inference.model import Model, load

__all__ = ["Model", "UserError", "load"]

# Installed, `ganjax.configs` lies in the package. In a checkout it lies beside it: there this line finds it, where
# otherwise those of another checkout could be found, that happens to be installed.
if not os.path.isdir(os.path.join(__path__[0], "configs")):
    __path__.append(os.path.dirname(__path__[0]))


def __getattr__(name: str):
    """Import JAX with the first use of `Model` or `load`: `launch.py` watches for signals before that."""
    if name in ("Model", "load"):
        from ganjax.system import console

        with console.quiet():  # orbax logs as it is imported
            from ganjax.inference import model
        return getattr(model, name)
    raise AttributeError(f"module 'ganjax' has no attribute {name!r}")

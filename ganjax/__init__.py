"""GANs for art on JAX."""

from ganjax.errors import UserError
from ganjax.model import Model, load

__all__ = ["Model", "UserError", "load"]

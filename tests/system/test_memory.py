"""An out-of-memory error becomes one sentence with the way out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ganjax.errors import UserError
from ganjax.system import memory


def on_the_device():
    jax.jit(lambda: jnp.zeros(1 << 44))().block_until_ready()


def on_the_host():
    np.zeros(1 << 50)


@pytest.mark.parametrize("work", [on_the_device, on_the_host])
def test_work_that_runs_out_of_memory_raises_the_advice(work):
    message = r"^there is not enough memory \(.*llocat.*\): a smaller one$"
    with pytest.raises(UserError, match=message), memory.explain_exhaustion("a smaller one"):
        work()


def test_other_errors_pass():
    for error in (jax.errors.JaxRuntimeError("INTERNAL: a bug"), UserError("a key"), ValueError("x")):
        with pytest.raises(type(error), match=str(error)), memory.explain_exhaustion("a smaller one"):
            raise error

"""Settings that must stand before JAX is imported, and what the tests share."""

import os
from pathlib import Path

ROOT = Path(__file__).parent.parent
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".pytest_cache" / "xla"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
# What compiles fastest: the quick tests compute little. test_resume.py has XLA's own flags, `make slow` another level.
FASTEST = {
    "xla_backend_optimization_level": "0",
    "xla_cpu_use_fusion_emitters": "false",
    "xla_cpu_parallel_codegen_split_count": "1",
}
flags = os.environ.get("XLA_FLAGS", "")
missing = [f"--{name}={value}" for name, value in FASTEST.items() if name not in flags]
os.environ["XLA_FLAGS"] = " ".join([flags, *missing])
os.environ["GANJAX_ONEDNN"] = "0"  # its programs cannot be cached; tests/ops and test_resume.py use it

import jax  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from PIL import Image  # noqa: E402

from ganjax.system import memory, signals  # noqa: E402


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory):
    """Keep the user's cache out of the tests."""
    os.environ["GANJAX_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True, scope="module")
def programs():
    """Let go of a module's compiled programs: kept, they take gigabytes over a suite."""
    yield
    jax.clear_caches()
    memory.trim_heap()


@pytest.fixture(autouse=True)
def unsignalled(monkeypatch):
    """Start each test with no signal caught: one that an earlier test caught in this process would stop its work."""
    monkeypatch.setattr(signals, "caught", None)


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def paintings(tmp_path) -> Path:
    """A folder of 40 small pictures in two sub-folders."""
    rng = np.random.default_rng(0)
    for i in range(40):
        folder = tmp_path / "paintings" / ("red" if i % 4 else "blue")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (6, 6, 3), np.uint8)
        Image.fromarray(pixels).resize((40, 48), Image.Resampling.BICUBIC).save(folder / f"{i:02d}.png")
    return tmp_path / "paintings"

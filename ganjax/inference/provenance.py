"""The record of how an image was made: one JSON object, under the key `ganjax` of the file's text metadata.

`ganjax.data.metadata` writes and reads it.
"""

import hashlib
import json
from importlib import metadata
from pathlib import Path


def record(**fields) -> dict:
    """Return {"software": "ganjax <version>", ...} with the `fields` that are not None: run, step, seed, label, ..."""
    present = {name: value for name, value in fields.items() if value is not None}
    return {"software": f"ganjax {metadata.version('ganjax')}", **present}


def of_model(model, workdir: str | Path) -> dict:
    """Return what identifies the weights: {"run": the workdir's name, "step", "config" and "weights": sha256}; "ema" is
    the width of their average if it was made anew.
    """
    weights, config, ema = model.meta.get("crc32_ema"), model.config.to_dict(), model.meta.get("ema")
    return {
        "run": Path(workdir).resolve().name,
        "step": model.meta["step"],
        "ema": ema,
        "config": _sha256(config),
        "weights": _sha256([weights, ema] if ema else weights) if weights else None,
    }


def _sha256(value) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()

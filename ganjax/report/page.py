"""Write report.html, a self-contained page about a run, which opens offline."""

import base64
import functools
import html
import io
import logging
import os
from pathlib import Path

import ml_collections
from PIL import Image

from ganjax.config.derived import flatten
from ganjax.losses.logits import UNSIGNED
from ganjax.report import health
from ganjax.system import atomic
from ganjax.system.names import printable

GRIDS = 24  # sheets in the timeline, at most
POINTS = 500  # points in a curve, about
PANELS = (
    ("losses", ("d_loss", "g_loss")),
    ("G's adversarial losses", ("g_loss_ab", "g_loss_ba")),
    ("D's losses", ("d_loss_a", "d_loss_b")),
    ("cycle", ("cycle_a", "cycle_b")),
    ("identity", ("identity", "identity_a", "identity_b")),
    ("PatchNCE", ("nce", "nce_identity")),
    ("content", ("content", "content_a", "content_b")),
    ("D's features", ("feature_matching",)),
    ("mean logits", ("d_real", "d_fake")),
    ("gradient norms", ("d_grad_norm", "g_grad_norm")),
    ("mean signs of D's logits", ("d_sign", "d_sign_fake", "d_pairs")),
    ("samples: diversity, ratio of copies, share at the ends", ("diversity", "grid_copies", "saturated")),
    ("root mean squares: weights, D's features", ("d_weights", "g_weights", "d_features")),
    ("learning rates", ("d_lr", "g_lr")),
    ("images per second", ("images_per_second",)),
)
PROTOCOL = ("n_real", "n_fake", "seed", "extractor", "resizer", "tap", "ddof", "k", "ties", "held_out", "note")
QUIET = {"step", "images", "real_images"}
log = logging.getLogger(__name__)

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1100px; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem; margin: 0 } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem }
table { border-collapse: collapse } td, th { padding: .15rem 1.2rem .15rem 0; text-align: left; vertical-align: top }
td { font-variant-numeric: tabular-nums } .muted { color: #666 } img { max-width: 100% }
#grid { image-rendering: pixelated; border: 1px solid #ddd } input[type=range] { width: 100%; max-width: 700px }
svg { max-width: 100%; height: auto } code { font-size: .9em } details { margin: .5rem 0 }
"""

SCRIPT = """
const frames = [...document.querySelectorAll('#frames img')], slider = document.getElementById('time');
function show() {
  document.getElementById('grid').src = frames[slider.value].src;
  document.getElementById('when').textContent = frames[slider.value].alt;
}
slider.addEventListener('input', show);
"""


def write(
    workdir: Path, config: ml_collections.ConfigDict, rows: list[dict], facts: dict, skipped: list, scores: list = ()
) -> None:
    """Write workdir/report.html atomically: rows of scalars.jsonl and of metrics.jsonl (`scores`), samples/*.png, the
    run's facts, and the skipped files with reasons. Raises UserError if the file cannot be written.
    """
    rows = [row for row in rows if "images" in row]
    scores = [row for row in scores if "images" in row]
    images_seen = max((row["images"] for row in rows), default=0)
    real_count = max((row.get("real_images", 0) for row in rows), default=0)
    real = f", {real_count:,} real ones shown to D" if real_count else ""
    body = [
        f"<h1>{_text(workdir.resolve().name)}</h1>",
        f"<p class=muted>{_text(config.recipe)}, {images_seen:,} of {config.total_images:,} images seen{real}</p>",
        _health(config, rows),
        _timeline(workdir, config.batch_size),
        "<h2>Curves</h2>",
        _curves(_merged(rows, scores)) if rows or scores else "<p>Nothing logged yet.</p>",
        _scores(scores),
        "<h2>Run</h2>",
        _table(facts),
        _skipped(skipped),
        f"<details><summary>Config</summary>{_table(flatten(config))}</details>",
    ]
    title = _text(f"{workdir.resolve().name} - ganjax")
    text = (
        f'<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">'
        f"<title>{title}</title><style>{STYLE}</style><body>{''.join(body)}</body></html>\n"
    )
    atomic.write_text(workdir / "report.html", text)


def _text(value: object) -> str:
    """Return any text, such as a file's name, escaped for HTML."""
    return html.escape(printable(str(value)))


def _health(config: ml_collections.ConfigDict, rows: list[dict]) -> str:
    if not config.get("health") or not rows:
        return ""
    kind = config.loss.get("kind", "") if "loss" in config else ""
    verdict = health.judge(rows, kind not in UNSIGNED)
    advice = f"<br>Try: {_text(verdict.advice)}" if verdict.advice else ""
    return f"<p><b>{_text(verdict)}</b>{advice}</p>"


def samples(workdir: Path) -> list[Path]:
    """Return the sheets of a run, the files samples/<step>.png, in the order of their steps."""
    names = (file.stem for file in (workdir / "samples").glob("*.png") if os.path.isfile(file))  # never raises
    steps = sorted(int(name) for name in names if name.isdecimal() and name == str(int(name)))  # "02" is no step
    return [sheet(workdir, step) for step in steps]


def sheet(workdir: Path, step: int) -> Path:
    """Return the path of a step's sheet."""
    return workdir / "samples" / f"{step}.png"


def _timeline(workdir: Path, batch_size: int) -> str:
    files = samples(workdir)
    if not files:
        return ""
    count = min(GRIDS, len(files))
    files = [files[round(i * (len(files) - 1) / max(count - 1, 1))] for i in range(count)]
    frames = [(f"{int(file.stem) * batch_size:,} images", _embed(file)) for file in files]
    frames = [(when, source) for when, source in frames if source]
    if not frames:
        return ""
    thumbs = "".join(f'<img hidden src="{source}" alt="{when}">' for when, source in frames)
    last = len(frames) - 1
    return (
        "<h2>Samples over time</h2>"
        f'<input type=range id=time aria-label="images seen" min=0 max={last} value={last}> '
        f"<span id=when>{frames[last][0]}</span><br>"
        f'<img id=grid src="{frames[last][1]}" alt="samples"><div id=frames>{thumbs}</div><script>{SCRIPT}</script>'
    )


def _embed(file: Path) -> str:
    """Return the picture as a data URL; "", with one warning, if it cannot be read."""
    buffer = io.BytesIO()
    try:
        with Image.open(file) as image:
            image.save(buffer, "WEBP", quality=85)
    except Exception as error:  # damaged files cause OSError, SyntaxError, ValueError, DecompressionBombError, ...
        _warn(file, str(error))
        return ""
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


@functools.cache  # logs each warning once
def _warn(file: Path, reason: str) -> None:
    log.warning("%s cannot be read (%s): report.html leaves it out", file, reason)


def _curves(rows: list[dict]) -> str:
    from matplotlib.figure import Figure  # imported here, since it takes half a second

    logged = {name for row in rows for name in row}
    others = logged - QUIET - {name for _, names in PANELS for name in names}
    panels = [*PANELS, *((name, (name,)) for name in sorted(others))]
    panels = [panel for panel in panels if logged.intersection(panel[1])]
    rows_of_panels = (len(panels) + 1) // 2
    height = 2.7 * rows_of_panels  # inches
    figure = Figure(figsize=(10.5, height))
    # Margins in inches over the figure's height: layout="constrained" would draw everything twice, half a second more.
    figure.subplots_adjust(0.06, 0.3 / height, 0.99, 1 - 0.3 / height, wspace=0.15, hspace=0.3)
    for axis, (title, names) in zip(figure.subplots(rows_of_panels, 2, squeeze=False).flat, panels, strict=False):
        for name in names:
            points = [(row["images"], row[name]) for row in rows if name in row]
            points = points[:: max(1, len(points) // POINTS)]
            if points:
                axis.plot(*zip(*points, strict=True), lw=1, label=name)
        axis.set_title(title, fontsize=10)
        axis.grid(alpha=0.3)
        axis.xaxis.set_major_formatter(_thousands)
        if len(names) > 1:
            axis.legend(fontsize=8, frameon=False)
        if title == "gradient norms":
            axis.set_yscale("log")
    for axis in figure.axes[len(panels) :]:
        axis.set_axis_off()
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()[buffer.getvalue().index("<svg") :]


def _merged(rows: list[dict], scores: list[dict]) -> list[dict]:
    """Return the rows, and rows with the values of metrics that training has not logged itself, ordered by images."""
    logged = {(row["images"], name) for row in rows for name in row}
    extra = []
    for row in scores:
        values = {
            name: result["value"] for name, result in row.items() if isinstance(result, dict) and "value" in result
        }
        new = {name: value for name, value in values.items() if (row["images"], name) not in logged}
        extra += [{"step": row["step"], "images": row["images"], **new}] if new else []
    return sorted([*rows, *extra], key=lambda row: row["images"])


def _scores(scores: list[dict]) -> str:
    """Return a table of the newest metrics, each with its protocol."""
    if not scores:
        return ""
    newest = max(scores, key=lambda row: row["images"])
    cells = ["<tr><th>metric<th>value<th>two halves of the real images<th>better<th>protocol"]
    for name, result in newest.items():
        if not isinstance(result, dict):
            continue
        baseline = result.get("baseline_real_real") or {}
        halves = f"{baseline['value']:.4g} (n = {baseline['n']:,})" if baseline else ""
        value = f"{result['value']:.4g}" if "value" in result else _text(result.get("error", ""))
        facts = {key: fact for key, fact in result.items() if key in PROTOCOL}
        protocol = ", ".join(f"{key} {fact}" for key, fact in facts.items())
        cells.append(
            f"<tr><td>{_text(name)}<td>{value}<td>{halves}<td>{_text(result.get('better', ''))}<td>{_text(protocol)}"
        )
    return f"<h2>Metrics, after {newest['images']:,} images</h2><table>{''.join(cells)}</table>"


def _thousands(images: float, _) -> str:
    return f"{images / 1000:g}k"


def _skipped(skipped: list[tuple[str, str]]) -> str:
    if not skipped:
        return "<p>No file was skipped.</p>"
    rows = "".join(f"<tr><td>{_text(name)}<td>{_text(reason)}" for name, reason in skipped)
    return f"<details open><summary>{len(skipped)} files were skipped</summary><table>{rows}</table></details>"


def _table(values: dict) -> str:
    rows = (f"<tr><th>{_text(k)}<td>{_text(v)}" for k, v in values.items())
    return f"<table>{''.join(rows)}</table>"

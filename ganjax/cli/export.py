"""Write the weights of a run, with its config, as one file: to share it, and to train on from it.

examples:
  ganjax export --workdir=runs/mine --out=mine.safetensors
  ganjax train --config=projected --config.init_from=mine.safetensors --config.data.path=FEW --workdir=runs/few
"""

from pathlib import Path

from ganjax.cli.arguments import add_step, add_workdir, path_type


def add_arguments(parser) -> None:
    """Add the flags of this verb to its parser."""
    add_workdir(parser, "folder of the run")
    add_step(parser)
    parser.add_argument("--out", required=True, type=path_type, metavar="FILE.safetensors", help="the file to write")


def run(options) -> None:
    """Write the file. Raises UserError for an error that the user can correct."""
    from ganjax.errors import UserError
    from ganjax.system import atomic, devices
    from ganjax.system.names import expanded
    from ganjax.training import initial
    from ganjax.workdir import run_folder, weights_file

    out = Path(options.out)
    if out.suffix != weights_file.SUFFIX:
        raise UserError(f"--out={out}: the name must end in {weights_file.SUFFIX}")
    atomic.check_writable(out, "--out")
    workdir = expanded(options.workdir, "--workdir")
    config = run_folder.read_config(workdir)
    devices.start(precision=config.precision)
    networks, meta = initial.networks_of(workdir, options.step)
    config.unlock()
    config.data.path = config.data.a = config.data.b = config.branch.workdir = config.init_from = ""  # of this machine
    about = {"config": config.to_dict(), "step": meta["step"], "images": meta["images"]}
    weights_file.write(out, networks, about)
    print(f"{out}: {', '.join(networks)} at step {meta['step']}, {out.stat().st_size / 2**20:.1f} MiB")

"""Train a GAN. The same command again goes on where the last one stopped.

examples:
  ganjax train --config=dcgan_art --workdir=runs/mine --config.data.path=PAINTINGS
  ganjax train --config=demo:debug --workdir=runs/try

every line of the config is a flag, --config.KEY=VALUE: --config.batch_size=32 --config.data.resolution=32
what they are, and what a config sets them to: ganjax train --config=NAME --help
a TPU pod: the same command on every host, with --distributed
"""

from ganjax.cli.arguments import add_workdir, place, whole


def add_arguments(parser) -> None:
    """Add the flags of this verb to its parser."""
    text = "a file, or the name of one in any sub-folder of configs/"
    parser.add_argument("--config", required=True, type=place, metavar="NAME|FILE.py[:debug]", help=text)
    add_workdir(parser, "where checkpoints, samples and report.html go")
    parser.add_argument("--distributed", action="store_true", help="join the other hosts of a pod or cluster")
    parser.add_argument("--coordinator", metavar="HOST:PORT", help="of host 0, where JAX cannot find it out")
    parser.add_argument("--num_processes", type=whole(1, 65536), metavar="N", help="hosts, likewise")
    parser.add_argument("--process_id", type=whole(0, 65535), metavar="I", help="this host, likewise")


def read_config(options):
    """Return the config of these options."""
    from ganjax.config import file as config_file

    return config_file.load_file(options.config, options.flags)


def run(options) -> None:
    """Train to the end of the config's images. Raises UserError for what the user can mend."""
    from ganjax.errors import UserError
    from ganjax.system import devices

    config = read_config(options)
    hosts = options.coordinator, options.num_processes, options.process_id
    if any(value is not None for value in hosts) and not options.distributed:
        raise UserError("--coordinator, --num_processes and --process_id need --distributed")
    if options.num_processes is not None and (options.process_id or 0) >= options.num_processes:
        raise UserError(f"--process_id={options.process_id} must be below --num_processes={options.num_processes}")
    devices.start(options.distributed, *hosts, config.deterministic, config.precision)
    from ganjax.training.loop import train

    train(config, options.workdir)

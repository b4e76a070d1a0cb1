"""Train a GAN. Run the same command to resume a stopped run.

examples:
  ganjax train --config=dcgan_art --workdir=runs/mine --config.data.path=PAINTINGS
  ganjax train --config=demo:debug --workdir=runs/try

every key of the config is a flag, --config.KEY=VALUE: --config.batch_size=32 --config.data.resolution=32
list the keys of a config, with their values: ganjax train --config=NAME --help
on a TPU pod, run the same command on every host, with --distributed
"""

from ganjax.cli.arguments import add_workdir, int_type, path_type


def add_arguments(parser) -> None:
    """Add the flags of this verb to its parser."""
    text = "a file, or the name of a file in any sub-folder of configs/"
    parser.add_argument("--config", required=True, type=path_type, metavar="NAME|FILE.py[:debug]", help=text)
    add_workdir(parser, "folder for checkpoints, samples and report.html")
    parser.add_argument("--distributed", action="store_true", help="join the other hosts of a pod or cluster")
    parser.add_argument("--coordinator", metavar="HOST:PORT", help="address of host 0, if JAX cannot detect it")
    parser.add_argument("--num_processes", type=int_type(1, 65536), metavar="N", help="number of hosts, likewise")
    parser.add_argument("--process_id", type=int_type(0, 65535), metavar="I", help="index of this host, likewise")


def read_config(options):
    """Return the config of these options."""
    from ganjax.config import file as config_file

    return config_file.load_file(options.config, options.flags)


def run(options) -> None:
    """Train to the end of the config's images. Raises UserError for an error that the user can correct."""
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

    if config.auto:
        from ganjax.training import auto

        config = auto.choose(config, options.flags, options.workdir)
    train(config, options.workdir)

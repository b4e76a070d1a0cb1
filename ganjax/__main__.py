"""python -m ganjax: as the command `ganjax`."""

from ganjax.cli.main import main

main()

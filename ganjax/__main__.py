"""`python -m ganjax` runs the command `ganjax`."""

from ganjax.cli.main import main

main()

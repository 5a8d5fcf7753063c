"""`python -m detmon`."""

from detmon.cli.app import main

main()

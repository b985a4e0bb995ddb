"""``python -m rtqc`` is ``rtqc``."""

from rtqc.cli.main import main

main()

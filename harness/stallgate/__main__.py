"""Entry of ``python -m stallgate``; the same as the command ``stallgate``."""

from stallgate.cli import main

if __name__ == "__main__":
    main()

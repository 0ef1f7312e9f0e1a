"""Entry of ``python -m harness``; the same as the command ``stallgate``."""

from harness.cli import main

if __name__ == "__main__":
    main()

"""`python -m burnish`: the same as the `burnish` command."""

from __future__ import annotations

from burnish.cli.main import main

if __name__ == "__main__":
    main()

"""`python -m postroom` is the `postroom` command."""

from postroom.ctl.main import main

main()

"""The command line: one thin file per verb. Parse, call the library, print.

Nothing heavy is imported at the top of these files, so that ``oddlens --help`` answers at once.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: what follows the program's name; None takes the process's own.

    Returns:
        The exit code: 0 done, 1 the work failed, 2 the call is wrong, 130 interrupted.
    """
    import typer

    from oddlens.cli.app import app
    from oddlens.cli.runner import report

    if isinstance(sys.stdout, io.TextIOWrapper):
        # File names that are no valid UTF-8 leave as the bytes that they are on disk.
        sys.stdout.reconfigure(errors="surrogateescape")
    given = list(sys.argv[1:] if arguments is None else arguments)
    command = typer.main.get_command(app)
    try:
        code = command.main(given, prog_name="oddlens", standalone_mode=False)
    except typer.TyperException as error:
        return report(error, as_json="--json" in given)
    return code if isinstance(code, int) else 0

"""Write the description; with ``--check`` say whether the one that lies there is it."""

from __future__ import annotations

import argparse
import sys

from dialplane.runtime.api_docs import OPENAPI
from tools.openapi.document import text


def main() -> int:
    """The exit status is 0, or 1 when the description is to be written again."""
    parser = argparse.ArgumentParser(prog="python -m tools.openapi", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    if not parser.parse_args().check:
        OPENAPI.write_text(text(), encoding="utf-8")
        return 0
    if OPENAPI.exists() and OPENAPI.read_text(encoding="utf-8") == text():
        return 0
    sys.stderr.write("openapi.json is not what the code says. Run: python -m tools.openapi\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())

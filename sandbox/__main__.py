"""`python -m sandbox up|down|reset`: the sandbox for people. What it does is in sandbox.stack; here it is only told."""

import argparse
import sys
import time

from sandbox.deployment import DeploymentFailed
from sandbox.processes import ProcessFailed
from sandbox.showcase import ShowcaseFailed, place_example_call, print_summary
from sandbox.stack import Sandbox


def main() -> int:
    """Run one command; the exit status is 1 with a message on stderr when it failed."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("command", choices=["up", "down", "reset"])
    command = parser.parse_args().command
    sandbox = Sandbox(report=lambda line: print(line, flush=True))
    try:
        if command == "down":
            print("The sandbox is stopped." if sandbox.stop() else "The sandbox was not running.")
        elif command == "up" and (running := sandbox.state()) is not None:
            print("The sandbox is running already; make reset builds it anew.")
            print_summary(running)
        else:
            started = time.monotonic()
            state = sandbox.reset() if command == "reset" else sandbox.start()
            place_example_call(state)
            print(f"\nReady after {time.monotonic() - started:.0f} s.")
            print_summary(state)
    except (ProcessFailed, DeploymentFailed, ShowcaseFailed) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

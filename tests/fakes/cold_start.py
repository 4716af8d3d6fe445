"""One cold start in a process of its own: `python cold_start.py initiate.app < event.json` prints answer and modules.

Nothing may be imported here beyond what every interpreter has: it would hide what a function loads.
"""

import json
import sys


class Context:
    """What the runtime tells a handler about its invocation, as far as handlers ask."""

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        """Plenty."""
        return 50_000


if __name__ == "__main__":
    (module_name,) = sys.argv[1:]
    before = set(sys.modules)
    # As in Lambda: the function's code lies at the root of the import path.
    __import__(module_name)
    handler = sys.modules[module_name].lambda_handler
    answer = handler(json.load(sys.stdin), Context)
    json.dump({"answer": answer, "modules": sorted(set(sys.modules) - before - {"json"})}, sys.stdout)

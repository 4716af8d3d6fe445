"""The simulated carriers: one HTTP server that answers as the telephone carriers do, one package per carrier.

Only what a carrier's customer can see over the network belongs here. Nothing in this package imports `dialplane`:
it must be able to prove the project wrong.
"""

from sandbox.carriers.embedded import SimulatedCarriers
from sandbox.carriers.server import CarriersConfig, build_app

__all__ = ["CarriersConfig", "SimulatedCarriers", "build_app"]

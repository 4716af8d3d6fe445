"""In which order a call's events leave the carrier, as the scenario says. Knows nothing of what an event is."""

from typing import Generic, TypeVar

from sandbox.carriers.scenarios import Delivery

Event = TypeVar("Event")


class DeliveryOrder(Generic[Event]):
    """One call's events on their way out."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._held: list[Event] = []

    def departing(
        self, event: Event, *, terminal: bool = False, overtaken: bool = False, last: bool | None = None
    ) -> list[Event]:
        """The events that leave now that this one happened, in this order, one after the other's reply.

        `terminal` marks the events of the call's end, `last` the last of them (default: there is only one);
        `overtaken` marks the one that the end overtakes (ringing, where a carrier tells of it, else the answer).
        """
        last = terminal if last is None else last
        departing = [event]
        match self._delivery:
            case Delivery.IN_ORDER:
                pass
            case Delivery.DUPLICATED:
                departing = [event, event]
            case Delivery.LOST:
                departing = []
            case Delivery.ONLY_TERMINAL:
                departing = departing if terminal else []
            case Delivery.TERMINAL_LOST:
                departing = [] if terminal else departing
            case Delivery.REVERSED:
                departing = self._hold(event, release=last)
            case Delivery.TERMINAL_BEFORE_RINGING:
                if terminal or overtaken:
                    departing = self._hold(event, release=terminal)
        return departing

    def beside(self, event: Event) -> list[Event]:
        """How often an event leaves that is told beside the call's progress, such as who answered."""
        match self._delivery:
            case Delivery.DUPLICATED:
                return [event, event]
            case Delivery.LOST | Delivery.ONLY_TERMINAL:
                return []
            case _:
                return [event]

    def _hold(self, event: Event, *, release: bool) -> list[Event]:
        self._held.append(event)
        if not release:
            return []
        held, self._held = self._held, []
        return held[::-1]

"""The tracker: one sqlite file a user, the one source of truth. The only place that knows SQL."""

from lofargrid.tracker.opening import open_tracker
from lofargrid.tracker.tracker import Tracker

__all__ = ["Tracker", "open_tracker"]

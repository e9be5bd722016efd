"""The tracker, put together."""

from lofargrid.tracker.attempts import Attempts
from lofargrid.tracker.campaigns import Campaigns
from lofargrid.tracker.diagnoses import Diagnoses
from lofargrid.tracker.files import Files
from lofargrid.tracker.pilots import PilotRows
from lofargrid.tracker.plans import Plans
from lofargrid.tracker.productions import Productions
from lofargrid.tracker.quarantines import Quarantines
from lofargrid.tracker.recalls import Recalls
from lofargrid.tracker.sites import Sites


class Tracker(Productions, Plans, Attempts, Files, Quarantines, Recalls, Sites, Campaigns, Diagnoses, PilotRows):
    """All tables of the tracker behind verbs. Writers run inside `transaction`; a move and its event are one."""

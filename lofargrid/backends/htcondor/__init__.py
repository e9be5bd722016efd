"""HTCondor: jobs handed to a schedd, followed by their event log."""

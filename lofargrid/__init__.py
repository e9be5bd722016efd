"""lofargrid reprocesses LOFAR observations: split by subband, run anywhere, merge by frequency."""

__version__ = "0.1.0"

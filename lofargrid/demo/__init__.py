"""A small LOFAR observation pair, made from packages alone, with the truth kept beside it.

`make_demo_data` writes what an archive would hand out: one tar of a raw measurement set for each
subband of a calibrator and of a target, list files with checksums and sky models. `truth.json`
says what went in, so that `measure_sources` and other checks compare a result with the truth and
never with an earlier result. The visibilities come from numpy, not from the tools under test.
"""

from lofargrid.demo.comparison import SourceComparison, measure_sources
from lofargrid.demo.observation import DemoFiles, make_demo_data
from lofargrid.demo.options import DemoOptions
from lofargrid.demo.truth import Truth, read_truth

__all__ = [
    "DemoFiles",
    "DemoOptions",
    "SourceComparison",
    "Truth",
    "make_demo_data",
    "measure_sources",
    "read_truth",
]

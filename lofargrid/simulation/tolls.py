"""What each job truly takes, the same at every attempt."""

from lofargrid_runner.contract import JobSpec, Limits

from lofargrid.simulation.faults import Cause, Faults
from lofargrid.simulation.streams import Streams
from lofargrid.simulation.trace import Trace
from lofargrid.simulation.work import Toll, Work

_LEAST_FACTOR, _MOST_FACTOR = 1.1, 2.0


class Tolls:
    """Knows what jobs take; some take more than their step grants.

    Parameters
    ----------
    work
        What steps take.
    faults
        The shares of hungry and of long jobs.
    streams, trace
        Randomness, and where those jobs are written.
    """

    def __init__(self, work: Work, faults: Faults, streams: Streams, trace: Trace) -> None:
        self._work = work
        self._faults = faults
        self._streams = streams
        self._trace = trace
        self._granted: dict[tuple[str, str], Limits] = {}

    def of(self, spec: JobSpec, read_bytes: int) -> Toll:
        """What a job takes that reads so much. Greed is measured by what its first attempt was granted."""
        key = (spec.production, spec.job)
        stream = self._streams.stream(f"job:{spec.production}:{spec.job}")
        toll = self._work.toll(spec, read_bytes, stream)
        hungry, longer = stream.random() < self._faults.hungry_jobs, stream.random() < self._faults.long_jobs
        if not (hungry or longer):
            return toll
        factor = stream.uniform(_LEAST_FACTOR, _MOST_FACTOR)
        if key not in self._granted:
            self._granted[key] = spec.limits
            self._trace.fault(Cause.HUNGRY_JOB if hungry else Cause.LONG_JOB, job=spec.job, factor=factor)
        granted = self._granted[key]
        if hungry:
            return toll._replace(memory_mb=max(toll.memory_mb, granted.memory_mb * factor))
        return toll._replace(seconds=max(toll.seconds, granted.walltime_s * factor))

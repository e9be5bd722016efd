#!/bin/sh
# Starts the runner on a worker node: finds a Python >= 3.9 and becomes it, so that signals and the exit
# code are the runner's own. Arguments go to the runner: bootstrap.sh run job.json
# Exit code 3: no such Python here.
if [ "$1" = run ]; then
    # What a batch system is to bring home is there from the start: it would hold a job that lacks it.
    folder=$(dirname -- "$2")
    mkdir -p "$folder/out" && touch "$folder/report.json" "$folder/job.log"
fi
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) || exit 3
runner=${LOFARGRID_RUNNER:-$here/runner.pyz}
try='import sys; sys.exit(sys.version_info < (3, 9))'
for python in python3 python3.13 python3.12 python3.11 python3.10 python3.9 /usr/bin/python3 \
    /usr/libexec/platform-python /cvmfs/dirac.egi.eu/dirac/pro/Linux-x86_64/bin/python3 \
    /cvmfs/sw.lsst.eu/linux-x86_64/lsst_distrib/current/bin/python3; do
    if command -v "$python" >/dev/null 2>&1 && "$python" -I -S -c "$try" 2>/dev/null; then
        exec "$python" -I -S -X utf8 "$runner" "$@"
    fi
done
echo "lofargrid: no python3 >= 3.9 on $(uname -n): sought on PATH ($PATH), in /usr and on /cvmfs" >&2
exit 3

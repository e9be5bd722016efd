"""Pure: a pilot as one self-contained script, and as a cloud-init that runs it."""

import base64
import io
import tarfile
from collections.abc import Mapping

import yaml
from lofargrid_runner.contract import PILOT_FILE, PilotSpec, to_json

_HEAD = """\
#!/bin/sh
# Pilot {pilot} for {site}: makes this node a worker of the pool at {collector} for {walltime_min} min at most.
# It holds a token that opens the pool until {expires} UTC: let nobody read it.
# Owner {owner}; contact {contact}. SIGTERM is safe, SIGUSR1 drains. It leaves nothing behind.
umask 077
for scratch in "${{_CONDOR_SCRATCH_DIR:-}}" "${{TMPDIR:-}}" /tmp; do
    if [ -n "$scratch" ] && folder=$(mktemp -d "$scratch/lofargrid-{pilot}-XXXXXX"); then break; fi
done
[ -d "$folder" ] || {{ echo "lofargrid: no folder to write to on $(uname -n)" >&2; exit 3; }}
base64 -d <<'END' | tar -xzf - -C "$folder" || exit 3
"""
_TAIL = """\
END
exec /bin/sh "$folder/bootstrap.sh" join "$folder/pilot.json" --discard
"""
_CLOUD_SCRIPT = "/var/lib/lofargrid/pilot.sh"


def pilot_script(spec: PilotSpec, files: Mapping[str, bytes], expires: str) -> str:
    """A shell script that holds all that a pilot needs, its token included.

    Parameters
    ----------
    spec
        The pilot.
    files
        Its files by name: the bootstrap, the runner, the token and the startd's configuration.
    expires
        When the token expires, for the reader.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in {PILOT_FILE: to_json(spec).encode(), **files}.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o600
            archive.addfile(info, io.BytesIO(content))
    head = _HEAD.format(
        pilot=spec.pilot, site=spec.site, collector=spec.collector, walltime_min=spec.walltime_s // 60,
        owner=spec.owner, contact=_comment(spec.contact), expires=expires,
    )  # fmt: skip
    return head + base64.encodebytes(packed.getvalue()).decode() + _TAIL


def cloud_init(script: str) -> str:
    """A cloud-config that runs a pilot's script as an unprivileged user of a new machine, and turns it off then."""
    content = base64.b64encode(script.encode()).decode()
    run = f"chown nobody {_CLOUD_SCRIPT} && runuser -u nobody -- /bin/sh {_CLOUD_SCRIPT}"
    config = {
        "write_files": [{"path": _CLOUD_SCRIPT, "permissions": "0600", "encoding": "b64", "content": content}],
        "runcmd": [["/bin/sh", "-c", run]],
        "power_state": {"mode": "poweroff", "timeout": 60},
    }
    return "#cloud-config\n" + yaml.safe_dump(config, sort_keys=False)


def _comment(text: str) -> str:
    return "".join(one if one.isprintable() else "_" for one in text)

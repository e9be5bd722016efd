"""The versions of the tools that payloads use, for the provenance."""

import sys

from lofargrid.commands import run
from lofargrid.documents.software import Software


def tool_versions(software: Software, inherited: str) -> dict[str, str]:
    """Ask each tool of a release for its version; one that is not there is left out."""
    found = {"release": software.release, "python": sys.version.split()[0]}
    for name, words in software.versions.items():
        program = software.find(words[0], inherited)
        if program:
            result = run([program, *words[1:]], environment={**software.environment, "PATH": inherited}, timeout_s=30)
            lines = [line.strip() for line in (result.stdout + result.stderr).splitlines() if line.strip()]
            found[name] = lines[0] if lines else f"exit code {result.exit_code}"
    return found

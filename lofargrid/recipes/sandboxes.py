"""Frozen sandboxes: the scripts, templates and user files of one recipe, and the runner, as jobs get them."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from lofargrid.errors import Fault, InputError
from lofargrid.recipes.freezing import sha256
from lofargrid.recipes.recipe import Recipe
from lofargrid.zipapp import SOURCES, build_zipapp


def pack_runner(root: Path) -> Path:
    """Build the runner's zipapp, once for each version of its sources."""
    content = b"".join(path.read_bytes() for path in sorted(SOURCES.glob("*.py")))
    target = root / f"runner-{hashlib.sha256(content).hexdigest()[:16]}.pyz"
    return target if target.exists() else build_zipapp(target)


def freeze(recipe: Recipe, root: Path) -> Path:
    """Copy what the recipe names to a folder of its own; a second call finds it there.

    Raises
    ------
    InputError
        A file is not any more what it was when the recipe was made.
    OSError
        The folder cannot be written.
    """
    folder = root / recipe.hash
    if folder.is_dir():
        return folder
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root) as scratch:
        made = Path(scratch) / "sandbox"
        for name, source in recipe.files.items():
            target = made / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            if sha256(target) != recipe.digests[name]:
                remedy = "Bring it back as it was, or take it as it is with `run --replan`"
                raise InputError(Fault("has changed since the production was entered", remedy, source))
            target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)
        made.mkdir(exist_ok=True)
        made.rename(folder)
    return folder

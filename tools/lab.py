"""Open the chapters as notebooks in JupyterLab.

Usage: ``python -m tools.lab [options of jupyter lab]``
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tools import settings
from tree_world.files import write_atomically
from tree_world.plotting.data.figure import SCRIPTS


def main() -> int:
    """Run JupyterLab until it is stopped. Its settings stay in this folder, not in the home."""
    environment = settings.kernel_environment()
    environment.pop("NO_COLOR")
    environment.pop("TREE_WORLD_CELL_TIMEOUT")  # whoever sits before it can stop a cell
    overrides = settings.CACHE / "jupyter" / "labconfig" / "default_setting_overrides.json"
    overrides.parent.mkdir(parents=True, exist_ok=True)
    viewers = {"markdown": "Jupytext Notebook", "myst": "Jupytext Notebook"}
    choices = {
        "@jupyterlab/docmanager-extension:plugin": {"defaultViewers": viewers},
        "@jupyterlab/apputils-extension:notification": {"fetchNews": "false"},
    }
    write_atomically(overrides, json.dumps(choices).encode())
    environment["JUPYTERLAB_SETTINGS_DIR"] = str(settings.CACHE / "lab" / "settings")
    environment["JUPYTERLAB_WORKSPACES_DIR"] = str(settings.CACHE / "lab" / "workspaces")
    environment[SCRIPTS] = str(bundled_figures())
    given = sys.argv[1:]
    own = [f"--ServerApp.root_dir={settings.ROOT}", "--LabApp.default_url=/lab/tree/book"]
    own = [one for one in own if not any(option.startswith(one.split("=")[0]) for option in given)]
    command = ["jupyter", "lab", *own, *given]
    try:
        return subprocess.run(command, cwd=settings.ROOT, env=environment, check=False).returncode
    except KeyboardInterrupt:
        return 0


def bundled_figures() -> Path:
    """Bundle the scripts of figures that can be touched as modules; the folder with them."""
    folder = settings.CACHE / "figures"
    subprocess.run(
        ["node", str(settings.THEME / "bundle.mjs"), str(folder)],
        cwd=settings.ROOT,
        env=settings.site_environment(),
        check=True,
    )
    return folder


if __name__ == "__main__":
    sys.exit(main())

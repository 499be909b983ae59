"""The commands of `docs/tahoe.md`, as a reader would type them."""

import os
import pathlib
import re
import signal
import subprocess
import sys

from support import STOCK, cannot, main

PAGE = pathlib.Path(__file__).resolve().parents[3] / "docs" / "tahoe.md"
SECTION = "## A grid over three clouds from nothing in ten minutes"
# Everything that was begun ends with the script.
BEFORE = "set -e -o pipefail -m\ntrap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n"


def commands():
    """Those of the section, in order, but for installing what is installed; ports are whichever are free."""
    section = PAGE.read_text().split(SECTION)[1].split("\n## ")[0]
    lines = [line for block in re.findall(r"```console\n(.*?)```", section, re.S) for line in block.splitlines()]
    assert len(lines) > 15 and all(line.startswith("$ ") for line in lines), lines
    lines = [line.removeprefix("$ ") for line in lines if not line.startswith("$ pip ")]
    return [re.sub(r"--port \d+", "--port 0", line).replace("tcp:3456:", "tcp:0:") for line in lines]


def case_a_grid_over_three_clouds_from_nothing():
    if STOCK:
        cannot("these commands are about our server")
    here = pathlib.Path.cwd()
    (here / "cloudbank.toml").write_text(os.environ["TAHOE_CLOUDS"])
    programs = here / "programs"
    programs.mkdir()
    (programs / "cloudbank").symlink_to(os.environ["TAHOE_CLOUDBANK"])
    (programs / "tahoe").symlink_to(pathlib.Path(sys.executable).parent / "tahoe")
    text = BEFORE + "\n".join(commands()) + "\n"
    script = here / "script"
    script.write_text(text)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    # A client node ends with its standard input, which is a terminal where a reader types.
    terminal, _kept = os.pipe()
    child = subprocess.Popen(
        ["bash", "-x", script],
        env=environment,
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        said, _ = child.communicate(timeout=220)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        said, _ = child.communicate()
        raise AssertionError(said[-6000:].decode(errors="replace")) from None
    said = said.decode(errors="replace")
    assert child.returncode == 0, said[-6000:]
    assert "Healthy" in said and "shares      1" in said, said[-6000:]


if __name__ == "__main__":
    main()

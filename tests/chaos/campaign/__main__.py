"""`python -m chaos.campaign`: one campaign from the command line. `make chaos` runs it."""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from chaos.campaign.course import chosen, course
from chaos.campaign.faults import FAULTS
from chaos.campaign.run import Campaign


def main() -> int:
    """Run it; 0 when nothing was found, 1 when something was, which is then kept in the folder."""
    parser = argparse.ArgumentParser(prog="python -m chaos.campaign", description="Break Leveret and see that it heals.")
    parser.add_argument("--minutes", type=float, default=5.0, help="after which no further fault comes (default 5)")
    parser.add_argument("--seed", type=int, help="of everything that is random (default: a new one)")
    parser.add_argument("--faults", help=f"instead of all, in this order, `+` for two at once: {', '.join(sorted(FAULTS))}")
    parser.add_argument("--keep", type=Path, help="where logs and findings go (default: a temporary folder, kept on failure)")
    given = parser.parse_args()
    seed: int = given.seed if given.seed is not None else random.SystemRandom().randrange(10**6)
    folder: Path = given.keep or Path(tempfile.mkdtemp(prefix="leveret-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        parser.error(f"{folder} is not empty")
    try:
        rounds = chosen(given.faults) if given.faults else course(seed)
    except ValueError as error:
        parser.error(str(error))
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:7.1f} {line}", flush=True)

    verdict = asyncio.run(Campaign(seed, folder, say).run(rounds, seconds=given.minutes * 60))
    print("\n".join(verdict.lines()))
    if not verdict.faults:
        print(f"nothing lost, doubled, stuck or dead: seed {seed}, {given.minutes:g} minutes")
        if given.keep is None:
            shutil.rmtree(folder)
        return 0
    faults = f" FAULTS='{given.faults}'" if given.faults else ""
    print(f"{sum(map(len, verdict.faults.values()))} findings; logs and rows are kept in {folder}")
    print(f"again: make chaos MINUTES={given.minutes:g} SEED={seed}{faults}")
    return 1


if __name__ == "__main__":
    sys.exit(main())

r"""A campaign against everything that reads, writes or can be killed.

    python tests/campaign.py --cases 30000 --seed 1        # hostile inputs for all targets
    python tests/campaign.py --cases 2000 --only openpose,csv --folder found
    python tests/campaign.py --seed 1 --only csv --case 1234        # one case again
    python tests/campaign.py --cases 0 --training_kills 50 --packing_kills 50 --race_seconds 60 \
        --bit_flips 100 --full_disk --pipes                # the rounds beside the cases

A case is a function of (target, seed, number): it writes one hostile input and gives it to the code
under test. It ends as accepted (what came out is sound), as refused (an InputError that names the
file), or as a finding: an escape (any other exception, or nonsense that was accepted), or a hang
(ten seconds, and more where the machine is busy). Cases run in processes whose time and memory are
limited. The inputs of findings are kept in --folder.

The exit code is 1 where anything was found. Targets live in tests/hostile/, which says how one is
added; the rounds in tests/hostile/rounds.py.
"""

from __future__ import annotations

import argparse
import collections
import pathlib
import random
import shutil
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
for place in (ROOT, ROOT / "tests"):
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))

import hostile  # noqa: E402
from hostile import cases, report, rounds  # noqa: E402
from rich.console import Console  # noqa: E402

EVERY = 500  # cases between two lines that say how far it is


def share_out(count: int, targets: dict[str, hostile.Target], seed: int) -> list[tuple[str, int]]:
    """So many cases among the targets by their shares, in an order in which they take turns."""
    whole = sum(target.share for target in targets.values()) or 1
    counts = {name: round(count * target.share / whole) for name, target in targets.items()}
    plan = [(name, case) for name, some in counts.items() for case in range(some)]
    random.Random(seed).shuffle(plan)
    return plan


def run_plan(plan, options) -> list[str]:
    """Run cases and print how they ended; a line for every kind of finding."""
    began, done = time.monotonic(), collections.Counter()

    def told(result):
        done[result.outcome] += 1
        if done.total() % EVERY == 0:
            so_far = f"{done.total()} of {len(plan)} cases, {time.monotonic() - began:.0f} s"
            print(so_far, dict(done), file=sys.stderr, flush=True)

    results = cases.run_cases(
        plan, options.seed, workers=options.workers, folder=options.folder, told=told
    )
    Console(width=110).print(report.table(results))
    print(f"{len(results)} cases of seed {options.seed} in {time.monotonic() - began:.0f} s")
    return report.findings(results)


def replay(name: str, target: hostile.Target, options):
    """One case again, in this process; its input stays in --folder."""
    folder = options.folder or pathlib.Path("found")
    good, here = folder / "good", folder / f"{name}-{options.case}"
    shutil.rmtree(here, ignore_errors=True)
    good.mkdir(parents=True, exist_ok=True)
    here.mkdir()
    print(f"the input is in {here}")
    if target.prepare is not None:
        target.prepare(good)
    target.run(cases.chance_of(name, options.seed, options.case), here, good)
    print("accepted")


def read_options():
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--cases", type=int, default=300, help="hostile inputs, of all targets together")
    add("--seed", type=int, default=0, help="the same seed gives the same cases")
    add("--only", type=lambda text: text.split(","), help="these targets, with commas between")
    add("--case", type=int, help="with one target: this case alone, in this process")
    add("--folder", type=pathlib.Path, help="keep the inputs of findings here")
    add("--workers", type=int, default=2, help="cases at a time")
    add("--bit_flips", type=int, default=0, help="single flipped bits in a checkpoint")
    rounds.add_options(parser)
    return parser.parse_args()


def main() -> int:
    """Run cases and rounds, print, and say by the exit code whether anything was found."""
    options, targets = read_options(), hostile.load()
    unknown = set(options.only or ()) - set(targets)
    if unknown:
        sys.exit(f"error: no target {min(unknown)!r}; there are: {', '.join(sorted(targets))}")
    chosen = {name: targets[name] for name in options.only or targets}
    if options.case is not None:
        replay(*next(iter(chosen.items())), options)
        return 0
    plan = share_out(options.cases, chosen, options.seed)
    plan += [("checkpoint_bits", case) for case in range(options.bit_flips)]
    found = run_plan(plan, options) if plan else []
    found += rounds.run(options, print)
    print("\n".join(found) if found else "nothing was found")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

r"""Simulate interviews: seated people who do micro-gestures, with a known truth.

    python data_prep/simulate.py --output interviews/
    python data_prep/pack_openpose.py --input interviews/openpose --videos interviews/videos.csv \
        --clips interviews/clips.csv --layout body25_hands --output interviews.h5

    python data_prep/simulate.py --scale imigue --store simulated.h5

`data_prep/simulation.py` says what is in them. --scale small is a few videos of twelve
classes. --scale imigue has iMiGUE's 72 subjects, 359 videos, 18,499 clips of 32 classes,
2,092 minutes, and its official splits, with the classes as often as in its public
training labels and a gesture repeated as often as there.
"""

from __future__ import annotations

import os

from absl import flags

from data_prep import simulation
from mgjax import files, skeleton
from mgjax.errors import InputError
from mgjax.scripts import run_script, script


def define_flags() -> None:
    """The script's flags."""
    flags.DEFINE_string(
        "output", None, "Folder to write as OpenPose's JSON with two tables, new or empty."
    )
    flags.DEFINE_string("store", None, "Store to write instead.")
    flags.DEFINE_string(
        "layout", None, f"With --store: whose joints to write; by default {simulation.LAYOUT.name}."
    )
    flags.DEFINE_enum(
        "scale", "small", ["small", "imigue"], "A few interviews, or as many as iMiGUE has."
    )
    # Without defaults here, so that one that is given with --scale imigue can be refused.
    flags.DEFINE_integer("videos", None, "With --scale small: number of interviews; 12 by default.")
    flags.DEFINE_integer(
        "subjects", None, "With --scale small: number of people in them; 10 by default."
    )
    flags.DEFINE_integer(
        "clips_per_video", None, "With --scale small: labelled clips in each; 40 by default."
    )
    flags.DEFINE_float(
        "emotion_effect",
        None,
        "How many times as often hands on oneself are seen after a defeat, and large movements "
        f"after a victory; {simulation.SMALL_EFFECT:g} by default, with --scale imigue "
        f"{simulation.EFFECT:g}.",
    )
    flags.DEFINE_integer("seed", 0, "The same seed gives the same interviews.")
    flags.DEFINE_integer(
        "workers",
        os.cpu_count(),
        "Processes that simulate; what is written is the same for any number.",
        lower_bound=1,
    )


def _simulated(options: flags.FlagValues) -> simulation.Simulation:
    """The interviews that the flags ask for."""
    # What is not given is left to the defaults of the functions.
    given = {name: options[name].value for name in ("videos", "subjects", "clips_per_video")}
    numbers = {name: value for name, value in given.items() if value is not None}
    effect = {} if options.emotion_effect is None else {"effect": options.emotion_effect}
    if options.scale == "small":
        return simulation.simulate(options.seed, **numbers, **effect)
    if numbers:
        raise InputError(f"--{min(numbers)} is for --scale small; iMiGUE's numbers are fixed")
    return simulation.simulate_imigue(options.seed, **effect)


@script
def main(_) -> None:
    """Read the flags, make the call, say what was done."""
    options = flags.FLAGS
    if (options.output is None) == (options.store is None):
        raise InputError(
            "give either --output, a folder for OpenPose's JSON, or --store, a store to write"
        )
    # An option that is accepted and ignored would mislead.
    if options.layout is not None and options.store is None:
        raise InputError("--layout is for --store; OpenPose's JSON holds all joints")
    if options.store is not None:
        files.output(options.store)
    # Who does what is planned at once; filming, which takes minutes, is part of writing.
    simulated = _simulated(options)
    if options.store is not None:
        layout = simulation.LAYOUT if options.layout is None else skeleton.get(options.layout)
        simulation.write_store(simulated, options.store, options.workers, layout)
    else:
        simulation.write_openpose(simulated, options.output, options.workers)
    print(f"{simulation.summary(simulated)}\nwrote {options.store or options.output}")


if __name__ == "__main__":
    run_script(main, define_flags)

"""Northwestern-UCLA Multiview Action 3D, as one JSON file a clip, to a store.

    python data_prep/pack_nucla.py --input nucla/ --output nucla.h5

`data_prep/nucla.py` says what the files and the store hold.
"""

from __future__ import annotations

from absl import flags

from data_prep import nucla
from mgjax import files
from mgjax.scripts import run_script, script


def define_flags() -> None:
    """The script's flags."""
    flags.DEFINE_string("input", None, "Folder of aAA_sSS_eEE_vVV.json files.", required=True)
    flags.DEFINE_string("output", None, "Store to write.", required=True)


@script
def main(_) -> None:
    """Read the flags, make the call, say what was done."""
    options = flags.FLAGS
    # Before the clips are read: may the store be written there?
    files.output(options.output)
    nucla.pack(options.input, options.output)
    print(nucla.summary(options.output))


if __name__ == "__main__":
    run_script(main, define_flags)

"""Print what a store holds, and draw samples of it.

    python data_prep/inspect_store.py --store nucla.h5
    python data_prep/inspect_store.py --store nucla.h5 --pictures pictures --clips 12

The table fits 100 columns. The frames are read in blocks, so a store of any size can be
looked into. With --pictures, sheets of sample clips (skeletons-1.png, ...) and a
histogram of clip lengths (clip_lengths.png) are written into that folder.
"""

from __future__ import annotations

from absl import flags

from data_prep import store_pictures, store_summary
from mgjax.errors import InputError
from mgjax.scripts import run_script, script
from mgjax.store import Store


def define_flags() -> None:
    """The script's flags."""
    flags.DEFINE_string("store", None, "The store to look into.", required=True)
    flags.DEFINE_string(
        "pictures", None, "Folder to write pictures of sample clips and of clip lengths into."
    )
    flags.DEFINE_integer("clips", 6, "How many sample clips to draw.", lower_bound=1)


@script
def main(_) -> None:
    """Read the flags, make the call, say what was done."""
    options = flags.FLAGS
    # An option that is accepted and ignored would mislead.
    if options["clips"].present and not options.pictures:
        raise InputError(
            "--clips says how many clips to draw and needs --pictures, the folder to draw into"
        )
    with Store(options.store) as store:
        print(store_summary.report(store))
        if options.pictures:
            paths = store_pictures.draw(store, options.pictures, options.clips)
            print("\nPictures", *(f"  {path}" for path in paths), sep="\n")


if __name__ == "__main__":
    run_script(main, define_flags)

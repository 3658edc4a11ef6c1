"""NTU RGB+D and NTU RGB+D 120, as the authors' .skeleton files, to a store.

    python data_prep/pack_ntu.py --input nturgb+d_skeletons/ --output ntu.h5 \\
        --missing NTU_RGBD_samples_with_missing_skeletons.txt

`data_prep/ntu.py` says what the files and the store hold, and which body of a file is a
person. Subfolders are read too, so the folders of both parts of NTU RGB+D 120 can lie in
one.

--missing is the authors' list of samples that have no skeleton or an incomplete one (302,
and 535 of NTU RGB+D 120); they are left out. A file in which there is no body is left out
in any case and counted. A damaged file stops the job, because a store that quietly lacks
a clip gives figures that compare with nothing; to go on without it, add its name to the
list.
"""

from __future__ import annotations

import os

from absl import flags

from data_prep import ntu
from mgjax import files
from mgjax.scripts import run_script, script


def define_flags() -> None:
    """The script's flags."""
    flags.DEFINE_string(
        "input",
        None,
        "Folder of SsssCcccPpppRrrrAaaa.skeleton files, or of such folders.",
        required=True,
    )
    flags.DEFINE_string("output", None, "Store to write.", required=True)
    flags.DEFINE_string(
        "missing",
        None,
        "The authors' list of samples with missing or incomplete skeletons, a text file: they are "
        "left out. Lines above its first name are a heading.",
    )
    # Two is another dataset than the one that published figures are of.
    flags.DEFINE_integer(
        "bodies",
        1,
        "1: the main person of every sample. 2: the second person of two-person actions too, as a "
        "video and clip of their own (_b2).",
        lower_bound=1,
        upper_bound=2,
    )
    flags.DEFINE_integer(
        "workers",
        os.cpu_count(),
        "Processes that read. The store is the same for any number.",
        lower_bound=1,
    )


@script
def main(_) -> None:
    """Read the flags, make the call, say what was done."""
    options = flags.FLAGS
    # Before the files are read, which takes minutes: may the store be written there?
    files.output(options.output)
    report = ntu.pack(
        options.input,
        options.output,
        missing=options.missing,
        bodies=options.bodies,
        workers=options.workers,
    )
    print(report)


if __name__ == "__main__":
    run_script(main, define_flags)

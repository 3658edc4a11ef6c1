r"""How far two annotators of the same videos agree: R and Cohen's kappa.

    python data_prep/agreement.py --first anna.csv --second ben.csv --output agreement.json

Each annotator's gestures are a CSV table `video,start,stop,label` (the clips of
`pack_openpose.py`: frame `start` included, `stop` not) or a folder of iMiGUE's own
`<id>_label.csv` (`label,start,end`: frame `end` included; classes are numbered from 1,
and 99 stands for 32). Frames count from 0. One may be a table and the other a folder; the
table then has ids of four digits and the class names of `mgjax.protocols.IMIGUE_CLASSES`.

R is that of the iMiGUE paper (Sec. 3.2, Eq. 1): R = 2 MG / (gestures of the first +
gestures of the second). MG is how many gestures both found: a gesture of one is paired
with at most one of the other, of the same class and in the same video, where the frames
they share are at least the share `--overlap` of the frames that either covers
(intersection over union); of all ways to pair them, one with the most pairs counts.

Kappa compares, frame by frame, the class that each annotator says is going on, or "none";
a class's own kappa is of that class against everything else. Where gestures of one
annotator overlap, the one that began last counts, of those that began together the
shortest, and of those that also end together the last by name. A video's frames are those
from 0 to the last annotated one, or all of them if `--videos` (a CSV table `id,frames`)
or `--store` says how many there are: frames in which neither saw anything count as
agreement, so the number matters.

A video in which one annotator has nothing at all counts as watched and found empty. Where
annotators shared the videos out among them, `--only_both` keeps those in which both have
something, or a label file each.
"""

from __future__ import annotations

from absl import flags

from data_prep.annotations import LABEL_FILE, read_annotation, read_lengths, store_lengths
from data_prep.gesture_agreement import agreement, tables
from mgjax import files
from mgjax.errors import InputError
from mgjax.report.tables import show
from mgjax.scripts import run_script, script


def define_flags() -> None:
    """The script's options."""
    for name in ("first", "second"):
        flags.DEFINE_string(
            name,
            None,
            f"The {name} annotator's gestures: a CSV table video,start,stop,label (stop not "
            f"included), or a folder of iMiGUE's <id>{LABEL_FILE} (label,start,end; end included).",
            required=True,
        )
    flags.DEFINE_float(
        "overlap",
        0.5,
        "Least intersection over union, in frames, of two gestures that are the same.",
    )
    flags.DEFINE_boolean(
        "only_both",
        False,
        "Leave out videos that one annotator does not name; without it they count as watched and "
        "found empty.",
    )
    flags.DEFINE_string(
        "videos", None, "CSV table id,frames: how many frames each video has, for kappa."
    )
    flags.DEFINE_string("store", None, "Store that says the same, instead of --videos.")
    flags.DEFINE_string("output", None, "JSON file to write.")


@script
def main(_: list[str]) -> None:
    """Read the flags, make the call, say what was done."""
    options = flags.FLAGS
    if options.videos is not None and options.store is not None:
        raise InputError(
            "--videos and --store both say how many frames a video has; give one of them"
        )
    # Before anything is read, so that nobody waits for what cannot be written.
    if options.output is not None:
        files.output(options.output)
    lengths = None
    if options.videos is not None:
        lengths = read_lengths(options.videos)
    elif options.store is not None:
        lengths = store_lengths(options.store)
    result = agreement(
        read_annotation(options.first),
        read_annotation(options.second),
        overlap=options.overlap,
        only_both=options.only_both,
        lengths=lengths,
    )
    show(*tables(result))
    if options.output is not None:
        files.write_json(options.output, result)
        print(f"wrote {options.output}")


if __name__ == "__main__":
    run_script(main, define_flags)

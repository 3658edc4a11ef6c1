r"""Pack iMiGUE's files, which its licence gives you, into a store.

    python data_prep/pack_imigue.py --input imigue/ --output imigue.h5 --videos videos.csv

Somewhere below --input, in any subfolders, each video has its keypoints
(<id>_light_hand.csv, <id>_openpose.xlsx or OpenPose's JSON in a folder <id>/) and perhaps
its labels (<id>_label.csv); `data_prep/imigue_files.py` says what is in them, and why the
names of joints that go around with them are not to be trusted. `data_prep/imigue.py` says
what the store holds and what is reported.

Sheets take python-calamine: pip install 'mgjax[xlsx]'.

Face landmarks identify a person. They are kept only with --keep_face and layout
openpose137.
"""

from __future__ import annotations

import os

from absl import flags

from data_prep import csv_tables, imigue, imigue_files
from mgjax import files
from mgjax.scripts import run_script, script


def define_flags() -> None:
    """The script's flags."""
    flags.DEFINE_string(
        "input",
        None,
        "Folder with iMiGUE's files, in any subfolders: <id>_light_hand.csv, <id>_openpose.xlsx "
        "or folders <id>/ of OpenPose's .json files, and <id>_label.csv.",
        required=True,
    )
    flags.DEFINE_string("output", None, "Store to write, such as imigue.h5.", required=True)
    flags.DEFINE_enum(
        "layout",
        None,
        list(imigue.LAYOUTS),
        "Joints to store; by default the most that the files have without a face: imigue35 of csv "
        "files, body25_hands of the others.",
    )
    flags.DEFINE_string(
        "videos",
        None,
        "CSV table of videos with a header: id (such as 0187 or 187) and any of subject (1 to "
        "72), emotion (positive or negative) and result (win or lose, which says the emotion "
        "too), each empty where it is not known; a column split_NAME with train, test or nothing "
        "for each video makes the split NAME. Only subjects give imigue_cross_subject.",
    )
    flags.DEFINE_enum(
        "form",
        None,
        list(imigue_files.FORMS),
        "Read files of this form only, where a video is there in several.",
    )
    flags.DEFINE_boolean(
        "keep_face",
        False,
        "Store the face landmarks of layout openpose137. They identify a person.",
    )
    # A text, as a rank is a number and a place a word.
    flags.DEFINE_string(
        "person",
        "largest",
        "Who is followed through JSON files: largest, leftmost, rightmost, centre, or a rank by "
        "size, as in pack_openpose.py. The other forms hold one person.",
    )
    flags.DEFINE_integer(
        "workers",
        os.cpu_count(),
        "Processes that read a video each; a sheet takes 30 kB a frame. The store is the same for "
        "any number.",
        lower_bound=1,
    )
    flags.DEFINE_string("report", None, "CSV table to write with what was found in each video.")


@script
def main(_) -> None:
    """Read the flags, make the call, say what was done."""
    options = flags.FLAGS
    # Before the files are read, which takes minutes: may both be written?
    files.output(options.output)
    csv_tables.check_report(options.report, options.output)
    report = imigue.pack(
        options.input,
        options.output,
        options.layout,
        videos=options.videos,
        form=options.form,
        keep_face=options.keep_face,
        person=options.person,
        workers=options.workers,
    )
    if options.report is not None:
        csv_tables.write_report(options.report, report.videos)
    print(report)


if __name__ == "__main__":
    run_script(main, define_flags)

r"""Pack OpenPose's JSON files (version 1.3, one file a frame) into a store.

  python data_prep/pack_openpose.py --input frames/ --output interviews.h5 --layout body25_hands

--input is one folder of files, which is one video named as the folder, or a folder of
such folders, one video each. The last number in a file's name is its frame number, as in
video_000000000007_keypoints.json. A video runs from its lowest to its highest number; a
number without a file is a frame in which nothing was seen (score 0, keypoint 0), and so
is a damaged file. Files that do not end in .json, and hidden ones, are left aside and
counted, and so are folders without frames and people whose pose is an empty list.
Keypoints are taken to be pixels (OpenPose's own default, --keypoint_scale 0).

Frame numbers of clips (--clips) are the numbers in the files' names, `start` included and
`stop` not: 0,25 are the 25 frames numbered 0 to 24. In the store a clip's start counts
from its video's first frame. Without --clips every whole video is one clip without a
label.

OpenPose does not say who is who. One person is followed through each video (--person), by
where the joints are from frame to frame; a frame that cannot be said to show that person
is left unseen, and what was missed is printed and reported. Where a recording is cut from
one camera to another, split it at the cuts first.

OpenPose's BODY_25 and BODY_25B both have 25 joints, so the files do not tell which they
hold: the layout does (body25 or body25b), or --model_pose where the layout can be cut out
of both. Where the bones fit the other one much better, that is said.

The table of videos (--videos) may say of each video who is followed (person), the model
that made its files (model_pose), and which joints they are read for (layout, by name or a
layout's .json file); an empty cell means what the flag says. The store has the joints of
--layout in any case: those that a video's own layout lacks are stored unseen, so that a
store of body25_hands can hold a video without hands (body25), and those that only the
video's layout has are not stored.

Ids are the names of the folders, and they are in the store. With --anonymous_ids videos
are numbered instead, v001, v002 and so on in the order of the folders' names, and
subjects s01, s02 in the order in which they come. Which number stands for whom is then in
the --report alone, which is the owner's key: keep it, and keep it to yourself.

Face landmarks identify a person. They are kept only with --keep_face and a layout that
has them (openpose137).
"""

from __future__ import annotations

import os

from absl import flags

from data_prep import csv_tables, openpose
from data_prep.openpose_source import MODELS
from mgjax import files, skeleton
from mgjax.scripts import run_script, script


def define_flags() -> None:
    """The script's options."""
    flags.DEFINE_string(
        "input", None, "Folder of OpenPose's .json files (one video), or of such folders."
    )
    flags.DEFINE_string("output", None, "Store to write, such as interviews.h5.")
    # OpenPose sees a picture: layouts of three dimensions are no choice.
    flat = sorted(name for name, layout in skeleton.LAYOUTS.items() if layout.dimensions == 2)
    flags.DEFINE_string(
        "layout",
        None,
        f"Joints to store: {', '.join(flat)}; or the path of a layout's .json file.",
    )
    flags.DEFINE_enum(
        "model_pose",
        None,
        list(MODELS),
        "Pose model that made the files; taken from --layout where that says it. Files of body25 "
        "and of body25b cannot be told apart.",
    )
    flags.DEFINE_string(
        "videos",
        None,
        "CSV table of videos: id, and any of subject, emotion, fps, width, height; person, "
        "model_pose and layout (the joints to read), where they differ from the flags' for a "
        "video; a column split_NAME with train, test or nothing for each video makes the split "
        "NAME.",
    )
    flags.DEFINE_string(
        "clips",
        None,
        "CSV table of clips: video, start, stop and perhaps label (empty: none). Numbers are those "
        "in the files' names; start is included, stop is not. Without it every whole video is one "
        "clip without a label.",
    )
    flags.DEFINE_boolean(
        "keep_face",
        False,
        "Store the face landmarks of a layout that has them (openpose137). They identify a person.",
    )
    flags.DEFINE_string(
        "person",
        "largest",
        "Who is followed: largest (area times score, summed over the frames), leftmost, rightmost, "
        "centre (needs width in --videos), or a rank by size: 1 for the largest, 2 for the next.",
    )
    _define_manner()
    flags.mark_flags_as_required(["input", "output", "layout"])


def _define_manner() -> None:
    """The options of how it is done, whatever is packed."""
    flags.DEFINE_integer(
        "workers",
        os.cpu_count(),
        "Processes that read. The store is the same for any number.",
        lower_bound=1,
    )
    flags.DEFINE_float(
        "max_damaged", 0.05, "Largest share of damaged files that is let pass.", 0, 1
    )
    flags.DEFINE_boolean(
        "anonymous_ids",
        False,
        "Number videos (v001, in the order of the folders' names) and subjects (s01, in the order "
        "in which they come) instead of storing what they are called. Names are then in no file "
        "but that of --report, the owner's key: its columns folder and subject say what each "
        "number stands for. Names of classes, emotions and splits stay as they are.",
    )
    flags.DEFINE_string("report", None, "CSV table to write with what was found in each video.")


@script
def main(_: list[str]) -> None:
    """Read the flags, make the call, say what was done."""
    options = flags.FLAGS
    # Before anything is read, so that nobody waits for what cannot be written.
    files.output(options.output)
    csv_tables.check_report(options.report, options.output)
    report = openpose.pack(
        options.input,
        options.output,
        options.layout,
        model_pose=options.model_pose,
        videos=options.videos,
        clips=options.clips,
        keep_face=options.keep_face,
        person=options.person,
        workers=options.workers,
        max_damaged=options.max_damaged,
        anonymous_ids=options.anonymous_ids,
    )
    if options.report is not None:
        csv_tables.write_report(options.report, report.videos)
    print(report)


if __name__ == "__main__":
    run_script(main, define_flags)

"""Who trains and who tests: the splits that published figures rest on, as data and pure functions.

Every function takes one value a clip (or a video) and returns rows, so that a packer can hand
them straight to `store.StoreWriter.add_split`. Beside each dataset's splits stand its classes in
label order and the counts that its authors give, by which a packer can tell a whole copy.

This module needs NumPy only and never imports JAX.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from mgjax.errors import InputError

# Rows that train and rows that test, each ascending int64; a row in neither takes no part.
Rows = tuple[np.ndarray, np.ndarray]


def rows(values: Sequence, train: Iterable, test: Iterable) -> Rows:
    """Rows whose value trains, and rows whose value tests; a row whose value is in neither takes
    no part.

    Args:
        values: one value a row.
        train, test: the values that train and that test; none may be in both.

    Returns:
        Two ascending int64 arrays of rows.

    Raises:
        InputError: a value is to train and to test.
    """
    train, test = set(train), set(test)
    both = train & test
    if both:
        raise InputError(f"{min(both)!r} is named both to train and to test")
    return _rows_of(values, train), _rows_of(values, test)


def _rows_of(values: Sequence, wanted: set) -> np.ndarray:
    found = [row for row, value in enumerate(values) if value in wanted]
    return np.array(found, dtype=np.int64)


def cross_subject(subjects: Sequence, train_subjects: Iterable) -> Rows:
    """Rows of the subjects named to train, and rows of all the other subjects.

    >>> train, test = cross_subject(["ann", "bob", "cem", "ann"], train_subjects=["ann"])
    >>> train, test
    (array([0, 3]), array([1, 2]))

    Args:
        subjects: one subject a row, as in `store.Videos.subject`.
        train_subjects: the subjects that train, spelt the same way.

    Returns:
        Two ascending int64 arrays of rows: train and test.

    Raises:
        InputError: a row has no subject (""), or a subject named to train is in no row.
    """
    train, present = set(train_subjects), set(subjects)
    if "" in present:
        row = list(subjects).index("")
        raise InputError(f"row {row} has no subject, so it can neither train nor test")
    # A misspelt name would otherwise move that subject among those who test.
    absent = train - present
    if absent:
        raise InputError(f"subject {min(absent)!r} is to train, but no row is of that subject")
    return rows(subjects, train, present - train)


# Northwestern-UCLA: ten subjects, three camera views, ten actions. Its files' names have the
# numbers that are the keys here, in which some are left out; an action's place is its label.
NUCLA_ACTIONS = {
    1: "pick up with one hand",
    2: "pick up with two hands",
    3: "drop trash",
    4: "walk around",
    5: "sit down",
    6: "stand up",
    8: "donning",
    9: "doffing",
    11: "throw",
    12: "carry",
}
NUCLA_SUBJECTS = tuple(range(1, 11))
NUCLA_VIEWS = (1, 2, 3)
NUCLA_CLIPS = 1484  # in the published copy


def nucla(subjects: Sequence[int], views: Sequence[int]) -> dict[str, Rows]:
    """The splits of Northwestern-UCLA.

    - `cross_view`: views 1 and 2 train, view 3 tests.
    - `cross_subject`: subjects of odd number train, those of even number test.
    - `cross_view_dev`: view 1 trains, view 2 tests. It lies inside the training views of
      `cross_view`, so that settings can be chosen on it without looking at a label of view 3.
      `cross_view_dev_back` swaps the two.

    Args:
        subjects, views: one subject (1 to 10) and one view (1 to 3) a clip.

    Returns:
        Split name to rows that train and rows that test.
    """
    odd, even = NUCLA_SUBJECTS[::2], NUCLA_SUBJECTS[1::2]
    return {
        "cross_view": rows(views, train=(1, 2), test=(3,)),
        "cross_subject": rows(subjects, train=odd, test=even),
        "cross_view_dev": rows(views, train=(1,), test=(2,)),
        "cross_view_dev_back": rows(views, train=(2,), test=(1,)),
    }


# iMiGUE: 359 press interviews of 72 tennis players (36 women, 36 men) after a match, won
# (positive) or lost (negative). Class k of the paper, C1 to C32, has label k - 1 and is row k - 1
# here. C32 is what is no micro-gesture.
IMIGUE_CLASSES = (
    "turtle neck",
    "bulging face, deep breath",
    "touching hat",
    "touching or scratching head",
    "touching or scratching forehead",
    "covering face",
    "rubbing eyes",
    "touching or scratching facial parts",
    "touching ears",
    "biting nails",
    "touching jaw",
    "touching or scratching neck",
    "playing with or adjusting hair",
    "buckling button, pulling collar, adjusting tie",
    "touching or covering suprasternal notch",
    "scratching back",
    "folding arms",
    "dusting off clothes",
    "putting arms behind body",
    "moving torso",
    "sitting straight",
    "scratching or touching arms",
    "rubbing or holding hands",
    "crossing fingers",
    "minaret gesture",
    "playing with or manipulating objects",
    "holding back arms",
    "head up",
    "pressing lips",
    "arms akimbo",
    "shaking shoulders",
    "illustrative body language",
)
IMIGUE_GROUPS = {  # of the paper's figure, as classes' numbers C1 to C31
    "head and hand": tuple(range(3, 14)),
    "body and hand": tuple(range(14, 20)),
    "hand": (22, 23, 24, 25, 26, 27, 30),
    "head": (1, 2, 28, 29),
    "body": (20, 21, 31),
}
IMIGUE_EMOTIONS = ("positive", "negative")
IMIGUE_VIDEOS, IMIGUE_WON, IMIGUE_CLIPS = 359, 258, 18499
# Recognition: clips that train and that test by the paper's count.
IMIGUE_SPLIT_CLIPS = (13936, 4563)
# fmt: off
IMIGUE_TRAIN_SUBJECTS = (
    2, 4, 5, 6, 9, 10, 12, 13, 14, 15, 17, 18, 20, 21, 22, 23, 25, 28, 29, 30, 31, 35, 36, 38, 39,
    41, 42, 43, 44, 46, 47, 48, 52, 53, 59, 61, 62,
)
IMIGUE_TEST_SUBJECTS = (
    1, 3, 7, 8, 11, 16, 19, 24, 26, 27, 32, 33, 34, 37, 40, 45, 49, 50, 51, 54, 55, 56, 57, 58, 60,
    63, 64, 65, 66, 67, 68, 69, 70, 71, 72,
)
# fmt: on
# Emotion, by the videos' ids: 51 won and 51 lost to train, 50 and 50 to test.
# fmt: off
IMIGUE_EMOTION_TRAIN = (
    1, 7, 8, 11, 26, 27, 46, 47, 48, 53, 55, 57, 63, 66, 67, 74, 77, 84, 85, 86, 91, 96, 102, 103,
    104, 105, 106, 108, 109, 112, 114, 117, 124, 132, 134, 140, 148, 157, 161, 162, 163, 164, 167,
    169, 170, 172, 176, 186, 196, 216, 233, 236, 237, 239, 240, 241, 242, 243, 249, 252, 266, 290,
    297, 300, 306, 310, 314, 318, 319, 320, 324, 334, 339, 359, 360, 365, 369, 377, 381, 385, 392,
    402, 407, 410, 411, 413, 414, 415, 420, 429, 433, 435, 436, 440, 441, 445, 448, 449, 450, 451,
    452, 453,
)
IMIGUE_EMOTION_TEST = (
    9, 10, 12, 16, 28, 35, 43, 49, 50, 51, 52, 54, 56, 60, 71, 72, 83, 89, 95, 100, 107, 110, 111,
    121, 131, 136, 144, 145, 165, 166, 168, 171, 174, 179, 185, 191, 193, 212, 220, 223, 230, 231,
    232, 234, 235, 238, 244, 246, 254, 258, 262, 263, 268, 270, 276, 280, 282, 303, 304, 311, 312,
    313, 315, 316, 317, 322, 323, 325, 327, 328, 329, 333, 337, 341, 343, 344, 363, 374, 400, 401,
    403, 404, 405, 406, 408, 416, 417, 419, 421, 428, 430, 431, 437, 438, 439, 442, 443, 444, 446,
    447,
)
# fmt: on


def imigue(subjects: Sequence[int], videos: Sequence[int]) -> dict[str, Rows]:
    """The official splits of iMiGUE's videos (supplementary material of the paper).

    - `imigue_cross_subject`: 37 subjects train, 35 test: recognition, Tables 2 and 4.
    - `imigue_emotion`: 102 videos train, 100 test, as many won as lost: emotion, Table 3.

    Args:
        subjects, videos: one subject (1 to 72) and one id (1 to 453) a video.

    Returns:
        Split name to rows of videos that train and that test; a video in neither takes no part.
    """
    return {
        "imigue_cross_subject": rows(subjects, IMIGUE_TRAIN_SUBJECTS, IMIGUE_TEST_SUBJECTS),
        "imigue_emotion": rows(videos, IMIGUE_EMOTION_TRAIN, IMIGUE_EMOTION_TEST),
    }


# NTU RGB+D (60 actions, setups 1 to 17) and NTU RGB+D 120 (all of it, setups 1 to 32). Action k,
# Akkk in the files' names, has label k - 1 and is row k - 1 here; explanations that the authors
# add in brackets are left out.
# fmt: off
NTU_ACTIONS = (
    # A1 to A10
    "drink water", "eat meal/snack", "brushing teeth", "brushing hair", "drop", "pickup", "throw",
    "sitting down", "standing up", "clapping",
    # A11 to A20
    "reading", "writing", "tear up paper", "wear jacket", "take off jacket", "wear a shoe",
    "take off a shoe", "wear on glasses", "take off glasses", "put on a hat/cap",
    # A21 to A30
    "take off a hat/cap", "cheer up", "hand waving", "kicking something", "reach into pocket",
    "hopping", "jump up", "make a phone call/answer phone", "playing with phone/tablet",
    "typing on a keyboard",
    # A31 to A40
    "pointing to something with finger", "taking a selfie", "check time", "rub two hands together",
    "nod head/bow", "shake head", "wipe face", "salute", "put the palms together",
    "cross hands in front",
    # A41 to A50
    "sneeze/cough", "staggering", "falling", "touch head", "touch chest", "touch back",
    "touch neck", "nausea or vomiting condition", "use a fan/feeling warm",
    "punching/slapping other person",
    # A51 to A60
    "kicking other person", "pushing other person", "pat on back of other person",
    "point finger at the other person", "hugging other person", "giving something to other person",
    "touch other person's pocket", "handshaking", "walking towards each other",
    "walking apart from each other",
    # A61 to A70
    "put on headphone", "take off headphone", "shoot at the basket", "bounce ball",
    "tennis bat swing", "juggling table tennis balls", "hush", "flick hair", "thumb up",
    "thumb down",
    # A71 to A80
    "make ok sign", "make victory sign", "staple book", "counting money", "cutting nails",
    "cutting paper", "snapping fingers", "open bottle", "sniff", "squat down",
    # A81 to A90
    "toss a coin", "fold paper", "ball up paper", "play magic cube", "apply cream on face",
    "apply cream on hand back", "put on bag", "take off bag", "put something into a bag",
    "take something out of a bag",
    # A91 to A100
    "open a box", "move heavy objects", "shake fist", "throw up cap/hat", "hands up", "cross arms",
    "arm circles", "arm swings", "running on the spot", "butt kicks",
    # A101 to A110
    "cross toe touch", "side kick", "yawn", "stretch oneself", "blow nose",
    "hit other person with something", "wield knife towards other person",
    "knock over other person", "grab other person's stuff", "shoot at other person with a gun",
    # A111 to A120
    "step on foot", "high-five", "cheers and drink", "carry something with other person",
    "take a photo of other person", "follow other person", "whisper in other person's ear",
    "exchange things with other person", "support somebody with hand", "finger-guessing game",
)
# fmt: on
NTU_TWO_PEOPLE = (*range(50, 61), *range(106, 121))  # actions of two people
NTU_SETUPS, NTU_CAMERAS, NTU_SUBJECTS = range(1, 33), range(1, 4), range(1, 107)
NTU_60_SETUPS, NTU_60_ACTIONS = range(1, 18), 60
# The 20 of these up to 40 are the training subjects of NTU RGB+D.
# fmt: off
NTU_TRAIN_SUBJECTS = (
    1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38, 45, 46, 47, 49, 50,
    52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84, 85, 86, 89, 91, 92, 93, 94, 95,
    97, 98, 100, 103,
)
# fmt: on
# Samples, and how many of them the authors list as having no skeleton or an incomplete one.
NTU_60_SAMPLES, NTU_60_MISSING = 56880, 302
NTU_120_SAMPLES, NTU_120_MISSING = 114480, 535


def ntu(subjects: Sequence[int], cameras: Sequence[int], setups: Sequence[int]) -> dict[str, Rows]:
    """The splits of NTU RGB+D, and those of NTU RGB+D 120 where one of the samples is of its
    further setups.

    - `cross_subject`, `cross_view`: NTU RGB+D, setups 1 to 17 only. 20 subjects train, 20 test;
      cameras 2 and 3 train, camera 1 tests.
    - `cross_subject_120`, `cross_setup`: NTU RGB+D 120, all setups. 53 subjects train, 53 test;
      setups of even number train, those of odd number test.

    Args:
        subjects, cameras, setups: a subject (1 to 106), a camera (1 to 3) and a setup (1 to 32) a
            clip.

    Returns:
        Split name to rows that train and rows that test; a clip in neither takes no part.
    """
    test_subjects = set(NTU_SUBJECTS) - set(NTU_TRAIN_SUBJECTS)

    def of_sixty(values: Sequence[int]) -> list[int | None]:
        """The values, with None, which neither trains nor tests, where NTU RGB+D has no such
        setup.
        """
        return [value if setup in NTU_60_SETUPS else None for value, setup in zip(values, setups)]

    splits = {
        "cross_subject": rows(of_sixty(subjects), NTU_TRAIN_SUBJECTS, test_subjects),
        "cross_view": rows(of_sixty(cameras), train=(2, 3), test=(1,)),
    }
    if any(setup not in NTU_60_SETUPS for setup in setups):
        splits["cross_subject_120"] = rows(subjects, NTU_TRAIN_SUBJECTS, test_subjects)
        even, odd = NTU_SETUPS[1::2], NTU_SETUPS[::2]
        splits["cross_setup"] = rows(setups, train=even, test=odd)
    return splits

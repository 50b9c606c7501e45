import numpy as np
import pytest

from recurra.data import DataError, read_builtin
from recurra.data.automaton import OPEN, automaton, states
from recurra.data.languages import CODES, languages
from recurra.data.motion import SIZE, STEPS, clip, motion


def test_names_are_found_or_the_nearest_is():
    assert len(read_builtin("builtin:motion", test=True).sequences) == 1000
    with pytest.raises(DataError, match="did you mean builtin:motion"):
        read_builtin("builtin:moton")


def test_the_words_of_the_languages_are_parted_by_meaning():
    pytest.importorskip("babel")
    learnt, tested = languages(False), languages(True)
    assert len(learnt) > 8000 and len(tested) > 2000
    assert len({one.label for one in learnt}) == len({one.label for one in tested}) == len(CODES)
    texts = [one.text for one in [*learnt, *tested]]
    assert len(texts) == len(set(texts))  # none stands in both parts, or under two labels
    assert ("German", "deutschland") in {(one.label, one.text) for one in [*learnt, *tested]}


def test_the_door_opens_and_shuts():
    def is_open(text: str) -> bool:
        return OPEN[states(text)[-1]]

    assert is_open("abc") and is_open("cababcaab") and is_open("abcba") and not is_open("abcbcba")
    assert not is_open("abab") and not is_open("abccba") and is_open("abccbbaa") and is_open("abccbaabc")
    # By hand: go through the string, looking for what comes next.
    for one in automaton(True)[:50]:
        opened, text, place = False, one.text, 0
        while (found := text.find("cba" if opened else "abc", place)) >= 0:
            opened, place = not opened, found + 3
        assert (one.label == "open") == opened == is_open(text)


def test_half_the_doors_are_open_and_tests_are_long():
    learnt, tested = automaton(False), automaton(True)
    assert {len(one.text) for one in tested} == {200} and max(len(one.text) for one in learnt) == 20
    for part in (learnt, tested):
        assert sum(one.label == "open" for one in part) * 2 == len(part)


def test_all_motions_visit_the_same_places():
    """Without its noise and its contrast a clip is one set of frames in one of four orders."""

    def places(label: str) -> list[tuple[int, ...]]:
        frames = np.abs(clip(np.random.default_rng(3), label))
        return [tuple(frame > 0.6) for frame in frames]

    clips = {label: places(label) for label in STEPS}
    assert len({frozenset(frames) for frames in clips.values()}) == 1
    assert len({tuple(frames) for frames in clips.values()}) == 4
    assert len(set(clips["up"])) == SIZE


def test_a_linear_map_of_a_clip_sees_nothing():
    clips = motion(False)
    x = np.stack(clips.sequences).reshape(len(clips.sequences), -1)
    labels = np.array(clips.labels)
    means = np.stack([x[labels == label].mean(0) for label in STEPS])
    # As far apart as the means of four random parts are.
    assert np.abs(means - means.mean(0)).max() < 6 * x.std() / np.sqrt(len(x) / 4)

"""Small worlds told in short sentences, with a question whose answer is a place.

People walk from room to room and carry things about. Where a thing is takes one sentence of the story to know, if it
says where the thing was put (`stories-1`), or two, if it only says who took it and, elsewhere, where that person went
(`stories-2`). Weston et al. (2015) gave such tasks the name "one and two supporting facts".
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from recurra.data.asked import Asked

PEOPLE = ("Anna", "Ben", "Clara", "David", "Emma", "Felix", "Greta", "Hugo")
PLACES = ("attic", "bathroom", "cellar", "garage", "garden", "hall", "kitchen", "office")
THINGS = ("ball", "book", "cup", "hat", "key", "lamp")
WENT = ("went to", "walked to", "ran to")
TOOK = ("took", "picked up", "grabbed")
LEFT = ("left", "dropped", "put down")
CARRIED = ("carried", "brought", "moved")

_EXAMPLES, _TESTS = {1: 20_000, 2: 200_000}, 2000
# A world: so many people, places and things take part. Few of them, so that most sentences could matter.
_CAST, _STAGE, _PROPS = 3, 4, 3
_LENGTHS = {1: (3, 8), 2: (3, 8)}  # sentences of a story


def stories(test: bool) -> list[Asked]:
    """Those of `stories-1` and `stories-2` together."""
    return one_fact(test) + two_facts(test)


def one_fact(test: bool) -> list[Asked]:
    """Stories whose question one sentence answers: 20,000 to learn from, 2,000 others to test on."""
    return _told(1, test, _carried)


def two_facts(test: bool) -> list[Asked]:
    """Stories whose question takes two sentences to answer: 200,000 to learn from, 2,000 others to test on."""
    return _told(2, test, _taken_along)


Story = tuple[list[str], str, str]  # sentences, question, answer


def _told(facts: int, test: bool, tell: Callable[[np.random.Generator, int], Story]) -> list[Asked]:
    """Stories that are all different; none to learn from is one of those to test on."""
    kept = _drawn(np.random.default_rng([facts, 1]), _TESTS, _LENGTHS[facts], tell, {})
    told = kept if test else _drawn(np.random.default_rng([facts, 0]), _EXAMPLES[facts], _LENGTHS[facts], tell, kept)
    place = Path(f"builtin:stories-{facts}")
    return [
        Asked(passage, question, answer, place, number)
        for number, ((passage, question), answer) in enumerate(told.items(), 1)
    ]


def _drawn(
    random: np.random.Generator,
    count: int,
    lengths: tuple[int, int],
    tell: Callable[[np.random.Generator, int], Story],
    known: dict[tuple[str, str], str],
) -> dict[tuple[str, str], str]:
    """The answers of `count` passages and questions that are not `known`, in the order in which they were drawn."""
    told: dict[tuple[str, str], str] = {}
    low, high = lengths
    while len(told) < count:
        sentences, question, answer = tell(random, int(random.integers(low, high + 1)))
        story = " ".join(sentences), question
        if story not in known:
            told.setdefault(story, answer)
    return told


def _carried(random: np.random.Generator, length: int) -> Story:
    """Somebody carries something to a place, or goes there; where is the thing or the person last spoken of so?"""
    people, places, things = _world(random)
    sentences: list[str] = []
    where: dict[str, str] = {}
    for _ in range(length):
        person = _one(random, people)
        place = _one(random, [p for p in places if p != where.get(person)])
        if random.random() < 0.6:
            thing = _one(random, things)
            sentences.append(f"{person} {_one(random, CARRIED)} the {thing} to the {place}.")
            where[f"the {thing}"] = place
        else:
            sentences.append(f"{person} {_one(random, WENT)} the {place}.")
        where[person] = place
    asked = _one(random, sorted(where))
    return sentences, f"Where is {asked}?", where[asked]


def _taken_along(random: np.random.Generator, length: int) -> Story:
    """People take things, go elsewhere, and perhaps leave them there; where is a thing that was taken?"""
    people, places, things = _world(random)
    sentences: list[str] = []
    where: dict[str, str] = {}  # of people
    lies: dict[str, str] = {}  # of things that were left somewhere
    holder: dict[str, str] = {}
    while len(sentences) < length:
        person = _one(random, people)
        held = [thing for thing, who in holder.items() if who == person]
        here = where.get(person)
        # A thing nobody has spoken of may lie anywhere: the one who takes it shows where.
        within_reach = [thing for thing in things if thing not in holder and lies.get(thing, here) == here]
        choice = random.random()
        if here is None or choice < 0.4:
            where[person] = _one(random, [place for place in places if place != here])
            sentences.append(f"{person} {_one(random, WENT)} the {where[person]}.")
        elif choice < 0.75 and within_reach:
            thing = _one(random, within_reach)
            holder[thing] = person
            lies.pop(thing, None)
            sentences.append(f"{person} {_one(random, TOOK)} the {thing}.")
        elif held:
            thing = _one(random, held)
            lies[thing] = here
            del holder[thing]
            sentences.append(f"{person} {_one(random, LEFT)} the {thing}.")
    if not lies and not holder:
        return _taken_along(random, length)
    thing = _one(random, sorted(lies.keys() | holder.keys()))
    return sentences, f"Where is the {thing}?", lies[thing] if thing in lies else where[holder[thing]]


def _world(random: np.random.Generator) -> tuple[list[str], list[str], list[str]]:
    """The people, places and things of a story."""
    pairs = ((PEOPLE, _CAST), (PLACES, _STAGE), (THINGS, _PROPS))
    people, places, things = ([names[k] for k in random.permutation(len(names))[:count]] for names, count in pairs)
    return people, places, things


def _one(random: np.random.Generator, names: list[str] | tuple[str, ...]) -> str:
    return names[int(random.integers(len(names)))]

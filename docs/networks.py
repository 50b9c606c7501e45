"""Draws the network of each way of use, folded and unfolded over time: `python docs/networks.py`.

Left is the network as it is: one set of weights, and a state that comes back a step later (the loop with the double
line). Right is the same network drawn once for every step.
"""

from itertools import pairwise
from pathlib import Path

from parts import chain, enter, folded, give, indexed, spread, steps, words
from pictures import IMAGES
from sheet import FOLDED, GAP, RADIUS, RISE, UNFOLDED, UNIT, Sheet


def classify() -> str:
    """N→1."""
    sheet = Sheet("A classifier, folded and unfolded: a sequence to one class", 690, 290)
    sheet.heads(34)
    sheet.parting(50, 270)
    folded(sheet, (FOLDED, 162), ("x", "t"), ("p", ""))
    nodes = steps(4, 162)
    chain(sheet, nodes, "h")
    enter(sheet, nodes, indexed("x", 4))
    give(sheet, nodes[-1:], [("p", "")])
    for node in nodes[:-1]:
        sheet.arrow(node, (nodes[-1][0], 84), "fed", (30, RADIUS + 6))
    sheet.text(nodes[-1][0] + 32, 80, "one class", anchor="start")
    sheet.text(nodes[-1][0] + 32, 96, "for all steps", anchor="start")
    return sheet.picture()


def tag() -> str:
    """N→N in step, in both directions."""
    sheet = Sheet("A tagger, folded and unfolded: a tag for each step, read from both ends", 690, 356)
    sheet.heads(34)
    sheet.parting(50, 336)
    at = (FOLDED, 228)
    for place, name, side in ((at, "h", 1), ((FOLDED, 150), "g", -1)):
        sheet.unit(place, name, "t")
        sheet.loop(place, side)
    nodes, others = steps(4, 228), steps(4, 150)
    for x, _ in (at, *nodes):
        # Each direction reads the input itself, and both are read by the tag: two ways that pass the other one's unit.
        sheet.way([(x - 12, 306 - RADIUS), (x - 34, 262), (x - 34, 192), (x - 14, 150 + UNIT / 2 + 3)], "rule")
        sheet.way([(x + 14, 228 - UNIT / 2 - 3), (x + 34, 188), (x + 34, 116), (x + 15, 84 + RADIUS - 2)], "rule")
    chain(sheet, nodes, "h")
    chain(sheet, others, "g", back=True)
    enter(sheet, [at, *nodes], [("x", "t"), *indexed("x", 4)])
    give(sheet, [(FOLDED, 150), *others], [("y", "t"), *indexed("y", 4)], 66)
    return sheet.picture()


def language_model() -> str:
    """N→N, the next symbol at each step; in writing, each enters as the next input."""
    sheet = Sheet("A language model, folded and unfolded: each symbol to the next", 690, 306)
    sheet.heads(34)
    sheet.parting(50, 288)
    folded(sheet, (FOLDED, 162), ("x", "t"), ("p", "t"))
    nodes = steps(4, 162)
    chain(sheet, nodes, "h")
    entered = enter(sheet, nodes, words("the", "cat", "sat", "on"))
    given = give(sheet, nodes, words("cat", "sat", "on", "the"))
    for out, into in zip(given[:-1], entered[1:], strict=True):
        sheet.feed(out, into)
    sheet.text(
        UNFOLDED - UNIT / 2,
        287,
        "dashed: in writing, what was drawn is read next; in training, the text is read",
        anchor="start",
    )
    return sheet.picture()


def poems() -> str:
    """N→N with something that stays the same at every step: what is written for."""
    sheet = Sheet("A language model that knows what it writes for, folded and unfolded", 794, 322)
    sheet.heads(34)
    sheet.parting(50, 304)
    at, nodes = (FOLDED, 162), steps(4, 162, UNFOLDED + GAP)
    folded(sheet, at, ("x", "t"), ("p", "t"))
    beside = sheet.node((FOLDED - 44, 162 + RISE), "c", "", "memory")
    sheet.arrow(beside, at, "looks", (RADIUS + 4, UNIT / 2 + 8))
    sheet.text(beside[0] - 22, beside[1] + 38, "at every step", anchor="start")
    chain(sheet, nodes, "h")
    entered = enter(sheet, nodes, words("<s>", "花", "間", "一"))
    given = give(sheet, nodes, words("花", "間", "一", "壺"))
    for out, into in zip(given[:-1], entered[1:], strict=True):
        sheet.feed(out, into)
    condition = sheet.node((UNFOLDED, 162 + RISE), "c", "", "memory")
    spread(sheet, (condition[0], condition[1] + RADIUS + 4), nodes)
    for k, fields in enumerate(("form 5, title 春日:", "one vector for", "the whole poem")):
        sheet.text(UNFOLDED - UNIT / 2, condition[1] - 66 + 14 * k, fields, anchor="start")
    return sheet.picture()


def forecast() -> str:
    """N→N in step, a window to a horizon at once, and step by step on its own forecasts, by one network or two."""
    sheet = Sheet("Forecasters, folded and unfolded: in step, direct, rolled out, and by two networks", 794, 1000)
    sheet.heads(34)
    sheet.parting(50, 984, 202)
    titles = (
        "step: an output beside each input",
        "direct: the whole horizon at once",
        "rollout: each forecast is read next",
        "rollout of an encoder–decoder: one network reads, another writes",
    )
    step, direct, rollout, decoder = tops = (176, 412, 648, 884)
    for y, title in zip(tops, titles, strict=True):
        sheet.text(UNFOLDED - UNIT / 2, y - 112, title, "small ink", "start")
    for y in tops[1:]:
        sheet.rule(y - 132)
    folded(sheet, (FOLDED, step), ("x", "t"), ("y", "t"))
    nodes = steps(5, step)
    chain(sheet, nodes, "h")
    enter(sheet, nodes, indexed("x", 5))
    give(sheet, nodes, indexed("y", 5))

    folded(sheet, (FOLDED, direct), ("y", "t"), ("ŷ", ""))
    nodes = steps(3, direct)
    chain(sheet, nodes, "h")
    enter(sheet, nodes, indexed("y", 3))
    for k in range(3):
        given = sheet.node((nodes[-1][0] + k * GAP, direct - RISE), "ŷ", str(k + 4), "output")
        sheet.arrow(nodes[-1], given, cut=(UNIT / 2 + 6, RADIUS + 4))

    folded(sheet, (FOLDED, rollout), ("y", "t"), ("ŷ", "t+1"))
    nodes = steps(5, rollout)
    chain(sheet, nodes, "h")
    entered = enter(sheet, nodes, [*indexed("y", 3), ("ŷ", "4"), ("ŷ", "5")])
    given = give(sheet, nodes[2:], [("ŷ", "4"), ("ŷ", "5"), ("ŷ", "6")])
    for out, into in zip(given[:-1], entered[3:], strict=True):
        sheet.feed(out, into)

    left, right = (FOLDED - 16, decoder), (FOLDED + 62, decoder)
    sheet.unit(left, "h", "t")
    sheet.loop(left, -1)
    sheet.unit(right, "s", "t", "memory")
    sheet.loop(right)
    enter(sheet, [left, right], [("y", "t"), ("ŷ", "t")])
    give(sheet, [right], [("ŷ", "t+1")])
    sheet.arrow(left, right, "time", (UNIT / 2 + 4, UNIT / 2 + 4))
    nodes = steps(5, decoder)
    chain(sheet, nodes[:2], "h")
    chain(sheet, nodes[2:], "s", kind="memory")
    sheet.arrow(nodes[1], nodes[2], "time")
    enter(sheet, nodes[:2], indexed("y", 2))
    entered = enter(sheet, nodes[2:], [("y", "3"), ("ŷ", "4"), ("ŷ", "5")])
    given = give(sheet, nodes[2:], [("ŷ", "4"), ("ŷ", "5"), ("ŷ", "6")])
    for out, into in zip(given[:-1], entered[1:], strict=True):
        sheet.feed(out, into)
    return sheet.picture()


def translate() -> str:
    """N→M, without and with attention."""
    sheet = Sheet("Encoder and decoder, folded and unfolded, without and with attention", 1036, 648)
    middle = 256
    sheet.text(FOLDED + 42, 34, "folded", "head ink")
    sheet.text(middle + 22, 34, "unfolded over time", "head ink", "start")
    sheet.parting(50, 630, middle)
    sheet.rule(316)
    titles = {
        176: "without attention: what the decoder knows of the source is the last state",
        502: "with attention: each step reads a mean of all states of the source, weighed anew (drawn for one step)",
    }
    for y, title in titles.items():
        attention = y > 316
        sheet.text(middle + 22, 64 if not attention else 344, title, "small ink", "start")
        left, right = (78, y), (172, y)
        sheet.unit(left, "h", "s")
        sheet.loop(left, -1)
        sheet.unit(right, "s", "t", "memory")
        sheet.loop(right)
        enter(sheet, [left, right], [("x", "s"), ("y", "t−1")])
        give(sheet, [right], [("y", "t")])
        sheet.arrow(left, right, "looks" if attention else "time", (UNIT / 2 + 4, UNIT / 2 + 4))
        source, target = steps(3, y, 310), steps(4, y, 310 + 3 * GAP + 16)
        chain(sheet, source, "h")
        chain(sheet, target, "s", kind="memory")
        sheet.arrow(source[-1], target[0], "time")
        enter(sheet, source, words("das", "Haus", "</s>"))
        entered = enter(sheet, target, words("<s>", "the", "house", "…"))
        given = give(sheet, target, words("the", "house", "…", "</s>"))
        for out, into in zip(given[:-1], entered[1:], strict=True):
            sheet.feed(out, into)
        if attention:
            context = (target[0][0] - GAP / 2 - 8, y - 116)
            sheet.attend(source, (0.25, 1.0, 0.25), context, ("c", "2"))
            x = target[1][0] - 36
            sheet.way(
                [(context[0] + RADIUS + 4, context[1]), (x, context[1]), (x, y - 60), (x + 22, y - UNIT / 2 - 4)],
                "looks",
            )
    return sheet.picture()


def bridges() -> str:
    """How the source reaches the decoder: as its first state, as an input at every step, both."""
    sheet = Sheet("How the source reaches the decoder: state, input and both", 1036, 872)
    middle = 256
    sheet.text(FOLDED + 42, 34, "folded", "head ink")
    sheet.text(middle + 22, 34, "unfolded over time", "head ink", "start")
    sheet.parting(50, 856, middle)
    rows = (
        (176, "state: the context v is what the decoder starts from", "at the start"),
        (448, "input: the context is read at every step", "at every step"),
        (720, "both", "at the start and at every step"),
    )
    for y, title, when in rows:
        if y > rows[0][0]:
            sheet.rule(y - 132)
        sheet.text(middle + 22, y - 112, title, "small ink", "start")
        left, right = (78, y), (172, y)
        sheet.unit(left, "h", "s")
        sheet.loop(left, -1)
        sheet.unit(right, "s", "t", "memory")
        sheet.loop(right)
        enter(sheet, [left, right], [("x", "s"), ("y", "t−1")])
        give(sheet, [right], [("y", "t")])
        sheet.arrow(left, right, "looks", (UNIT / 2 + 4, UNIT / 2 + 4))
        sheet.text((left[0] + right[0]) / 2, y + RISE + 40, when)
        source, target = steps(3, y, 310), steps(3, y, 310 + 4 * GAP + 16)
        context = sheet.node((310 + 3 * GAP, y), "v", "", "output")
        chain(sheet, source, "h")
        chain(sheet, target, "s", kind="memory")
        enter(sheet, source, indexed("x", 3))
        sheet.arrow(source[-1], context, "looks", (UNIT / 2 + 4, RADIUS + 4))
        entered = enter(sheet, target, [("<s>", ""), *indexed("y", 2)])
        given = give(sheet, target, indexed("y", 3))
        for out, into in zip(given[:-1], entered[1:], strict=True):
            sheet.feed(out, into)
        if when != "at every step":
            sheet.arrow(context, target[0], "looks", (RADIUS + 4, UNIT / 2 + 4))
        if when != "at the start":
            spread(sheet, (context[0], y + RADIUS + 4), target)
    return sheet.picture()


def answer() -> str:
    """Passage and question to an answer: looks at the passage, one after another."""
    sheet = Sheet("A reader, folded and unfolded: a passage and a question to an answer", 1086, 500)
    middle, low, high = 256, 360, 176
    sheet.text(FOLDED + 42, 34, "folded", "head ink")
    sheet.text(middle + 22, 34, "unfolded over time and over the looks", "head ink", "start")
    sheet.parting(50, 480, middle)
    passage, question, look = (78, low), (172, low), (172, high)
    for at, name, side in ((passage, ("m", "s"), -1), (question, ("q", "t"), 1)):
        sheet.unit(at, *name)
        sheet.loop(at, side)
    sheet.unit(look, "u", "k", "memory")
    sheet.loop(look)
    enter(sheet, [passage, question], [("x", "s"), ("w", "t")])
    sheet.arrow(question, look, cut=(UNIT / 2 + 4, UNIT / 2 + 4))
    sheet.arrow(passage, look, "looks", (UNIT / 2 + 6, UNIT / 2 + 10))
    give(sheet, [look], [("a", "")])

    states, asked = steps(5, low, 310, 88), steps(3, low, 772, 88)
    chain(sheet, states, "m", both=True)
    chain(sheet, asked, "q", both=True)
    enter(sheet, states, words("Ben", "took", "key", "Ben", "hall"))
    enter(sheet, asked, words("Where", "is", "key"))
    looks = [(820, high), (948, high)]
    first = sheet.attend(states, (0.2, 0.4, 1.0, 0.2, 0.2), (430, high), ("c", "1"))
    second = sheet.attend(states, (0.2, 0.2, 0.2, 0.4, 1.0), (640, high - 80), ("c", "2"))
    chain(sheet, looks, "u", kind="memory")
    sheet.arrow(first, looks[0], "looks", (RADIUS + 4, UNIT / 2 + 4))
    sheet.way(
        [(second[0] + RADIUS + 4, second[1]), (looks[1][0], second[1]), (looks[1][0], high - UNIT / 2 - 4)], "looks"
    )
    for at in looks:
        sheet.arrow(asked[-1], at, cut=(UNIT / 2 + 6, UNIT / 2 + 8))
    given = sheet.node((looks[1][0] + 82, high), "hall", "", "output")
    sheet.arrow(looks[1], given, cut=(UNIT / 2 + 4, RADIUS + 4))
    return sheet.picture()


def describe() -> str:
    """1→N: the vector as the first input, at every step, and as the state to start from."""
    sheet = Sheet("From a vector to a sequence, folded and unfolded, in three ways", 794, 824)
    sheet.heads(34)
    sheet.parting(50, 808)
    titles = (
        "first: the vector is the first input",
        "every: the vector enters at every step, beside the output before",
        "state: the first state is made of the vector",
    )
    tops = (176, 412, 688)
    for y, title in zip(tops, titles, strict=True):
        sheet.text(UNFOLDED - UNIT / 2, y - 112, title, "small ink", "start")
    for y in (280, 556):
        sheet.rule(y)
    for y, way in zip(tops, ("first", "every", "state"), strict=True):
        at, nodes = (FOLDED, y), steps(4, y, UNFOLDED + (0 if way == "first" else GAP))
        folded(sheet, at, ("x", "t") if way == "first" else ("y", "t−1"), ("y", "t"))
        chain(sheet, nodes, "h")
        given = give(sheet, nodes, indexed("y", 4))
        entered = enter(sheet, nodes, [("v", "") if way == "first" else ("<s>", ""), *indexed("y", 3)])
        for out, into in zip(given[:-1], entered[1:], strict=True):
            sheet.feed(out, into)
        if way == "first":
            continue
        beside = sheet.node((FOLDED - 44, y + RISE), "v", "", "memory")
        sheet.arrow(beside, at, "looks", (RADIUS + 4, UNIT / 2 + 8))
        sheet.text(
            beside[0] - 22, beside[1] + 38, "at every step" if way == "every" else "at the start", anchor="start"
        )
        vector = sheet.node((UNFOLDED, y if way == "state" else y + RISE), "v", "", "memory")
        if way == "state":
            sheet.arrow(vector, nodes[0], "looks", (RADIUS + 4, UNIT / 2 + 4))
            continue
        spread(sheet, (UNFOLDED, y + RISE + RADIUS + 4), nodes)
    return sheet.picture()


def music() -> str:
    """N→N over frames of several notes: the notes of the next moment."""
    sheet = Sheet("A model of polyphonic music, folded and unfolded: the notes now to the notes next", 690, 344)
    sheet.heads(34)
    sheet.parting(50, 326)
    at, nodes = (FOLDED, 178), steps(4, 178)
    chords = ((1, 4, 6), (1, 4, 7), (2, 4, 7), (2, 5, 7), (1, 4, 6))
    sheet.unit(at, "h", "t")
    sheet.loop(at)
    chain(sheet, nodes, "h")
    columns = [(at, chords[0], chords[1]), *((node, *pair) for node, pair in zip(nodes, pairwise(chords), strict=True))]
    for (x, y), now, then in columns:
        sheet.keys((x, y + 86), now, "input")
        sheet.arrow((x, y + 86), (x, y), cut=(44, UNIT / 2 + 4))
        sheet.keys((x, y - 86), then, "output")
        sheet.arrow((x, y), (x, y - 86), cut=(UNIT / 2 + 4, 44))
    for a, b in pairwise(nodes):
        x = (a[0] + b[0]) / 2
        sheet.way([(a[0] + 16, 92), (x, 92), (x, 264), (b[0] - 16, 264)])
    sheet.text(UNFOLDED - UNIT / 2, 326, "a column: the keys at one moment, those that sound filled", anchor="start")
    return sheet.picture()


PICTURES = {
    "classify": classify,
    "tag": tag,
    "language_model": language_model,
    "poems": poems,
    "forecast": forecast,
    "translate": translate,
    "bridges": bridges,
    "answer": answer,
    "describe": describe,
    "music": music,
}


def main(folder: Path = IMAGES) -> None:
    for name, draw in PICTURES.items():
        (folder / f"network_{name}.svg").write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main()

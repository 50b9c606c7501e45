"""Sentences about the results of companies, made from templates, with what a record of them would hold.

A sentence has some of the fields company, year, revenue, profit, growth and decline, and beside them names, years and
numbers that are no part of the record. Names and numbers for testing are none of those for learning: what is learnt is
what stands around them.
"""

from pathlib import Path
from string import Formatter

import numpy as np

from recurra.data.tagged import Tagged, cut

FIELDS = ("company", "year", "revenue", "profit", "growth", "decline")

_SENTENCES, _TESTS = 4000, 1000
# Words and numbers for testing alone: those whose letters' codes, or digits, sum to a multiple of this.
_KEPT = 5

_TEMPLATES = (
    "{company} reported revenue of {revenue} for {year}.",
    "{company} reported revenue of {revenue} for {year}, up {growth} from {other_year}.",
    "{company} reported revenue of {revenue} for {year}, down {decline} from a year earlier.",
    "In {year}, {company} earned {profit} on sales of {revenue}.",
    "In {year} sales at {company} rose {growth} to {revenue}.",
    "In {year} sales at {company} fell {decline} to {revenue}, and profit came to {profit}.",
    "Revenue of {company} grew {growth} in {year} and reached {revenue}.",
    "Shares of {company} fell after the group said that its turnover had shrunk by {decline} to {revenue}.",
    "{company}, founded in {other_year}, made a net profit of {profit} in {year}.",
    "{company}, which employs {count} people, lifted its turnover by {growth} to {revenue}.",
    "With {count} employees {company} earned {profit} last year, {other_company} said in a note.",
    "Analysts at {other_company} had expected revenue of {other_money}; {company} reported {revenue}.",
    "{company} beat {other_company}: its revenue for {year} was {revenue}, a rise of {growth}.",
    "Net income of {company} was {profit} in {year}, against {other_money} in {other_year}.",
    "For the year {year}, {company} posted a profit of {profit} and a turnover of {revenue}.",
    "A decline of {decline} left {company} with revenue of {revenue} in {year}.",
    "{company} will pay {other_company} {other_money} for its stake; profit in {year} was {profit}.",
    "Profit at {company} came to {profit}, while turnover slipped {decline} to {revenue}.",
    "{company} opened {count} shops in {year} and sold goods for {revenue}, {growth} more than in {other_year}.",
    "The board of {company} expects growth of {growth} for {year}.",
)
_ONSETS = "b br c ch d dr f g gl h k kr l m n p pr r s st t tr v w z"
_VOWELS = "a e i o u ai ea io ou"
_ENDINGS = "n r s l m x th ck nd ra lo ta ne via ro"
_FORMS = ("", "", "", " Inc", " Ltd", " Group", " Holdings", " & Sons", " Technologies", " Energy", " Foods", " Bank")
_CURRENCIES = ("${} {}", "€{} {}", "£{} {}", "{} {} dollars", "{} {} euros", "EUR {} {}", "USD {} {}")
_SCALES = ("million", "million", "billion")
_PERCENT = ("{}%", "{}%", "{} percent", "{} per cent")


def reports(test: bool) -> list[Tagged]:
    """4,000 sentences to learn from, or 1,000 to test on, with BIO tags of the fields; all tokens have one."""
    random = np.random.default_rng(6 if test else 5)
    return [_sentence(random, test, number) for number in range(1, (_TESTS if test else _SENTENCES) + 1)]


def _sentence(random: np.random.Generator, test: bool, number: int) -> Tagged:
    text, fields = "", []
    for before, name, _, _ in Formatter().parse(_TEMPLATES[random.integers(len(_TEMPLATES))]):
        text += before
        if name is not None:
            value = _value(random, name.removeprefix("other_"), test)
            if name in FIELDS:
                fields.append((len(text), len(text) + len(value), name))
            text += value
    tokens, tags = [], []
    for start, end in cut(text):
        inside = next(((first, name) for first, last, name in fields if first <= start < last), None)
        tokens.append(text[start:end])
        tags.append("O" if inside is None else f"{'B' if inside[0] == start else 'I'}-{inside[1]}")
    return Tagged(tuple(tokens), tuple(tags), Path("builtin:reports"), number)


def _value(random: np.random.Generator, name: str, test: bool) -> str:
    """A value of a field, of those for testing or of the others."""
    if name == "company":
        return _company(random, test)
    if name == "year":
        return _number(random, test, 1960, 2040)
    if name == "count":
        return f"{int(_number(random, test, 100, 90000)):,}"
    if name in ("growth", "decline"):
        return _PERCENT[random.integers(len(_PERCENT))].format(_decimal(random, test, 2, 60))
    form, scale = _CURRENCIES[random.integers(len(_CURRENCIES))], _SCALES[random.integers(len(_SCALES))]
    return form.format(_decimal(random, test, 2, 900), scale)


def _company(random: np.random.Generator, test: bool) -> str:
    """One or two made-up words, with or without a legal form; a fifth of all such words is for testing alone."""
    onsets, vowels, endings = _ONSETS.split(), _VOWELS.split(), _ENDINGS.split()
    words = []
    for _ in range(int(random.integers(1, 3))):
        word = ""
        while not word or (sum(map(ord, word)) % _KEPT == 0) != test:
            parts = [onsets, vowels] * int(random.integers(1, 3)) + [endings]
            word = "".join(part[random.integers(len(part))] for part in parts)
        words.append(word.capitalize())
    return " ".join(words) + _FORMS[random.integers(len(_FORMS))]


def _decimal(random: np.random.Generator, test: bool, low: int, high: int) -> str:
    """A number, half of the time with a decimal."""
    whole = _number(random, test, low, high)
    return whole if random.random() < 0.5 else f"{whole}.{random.integers(1, 10)}"


def _number(random: np.random.Generator, test: bool, low: int, high: int) -> str:
    text = ""
    while not text or (sum(map(int, text)) % _KEPT == 0) != test:
        text = str(random.integers(low, high))
    return text

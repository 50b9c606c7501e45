"""Greedy decoding and beam search side by side in one run: sentences a second, and what a beam costs.

    python bench/decoding.py [--beam 5] [--batch 64] [--hidden 256] [--vocabulary 5000] [--length 30] [--seconds 2]

The model is a decoder of random parameters, with and without attention over a source of `--length` places. Sentences
have lengths from half of that to one and a half, so that they leave the batch one after another. All hypotheses of a
sentence are of its length, so that none ends early: the most that a beam can cost.
"""

from __future__ import annotations

import argparse

import torch

from recurra.decoding import BeamSettings, Constraints, beam_search, greedy
from recurra.deploy.bench.timing import take_turns
from recurra.layers import Attention
from recurra.models import EncoderDecoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--vocabulary", type=int, default=5000)
    parser.add_argument("--length", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each measurement")
    options = parser.parse_args()
    B, V, T = options.batch, options.vocabulary, options.length
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads; "
        f"B {B}, H {options.hidden}, V {V}, {T} tokens on average\n"
    )
    print(f"| decoder | greedy, sentences/s | beam {options.beam}, sentences/s | beam costs |\n|---|---|---|---|")
    lengths = torch.linspace(T / 2, 3 * T / 2, B).long()
    exact = Constraints(minimum=lengths)
    settings = BeamSettings(end=0, maximum=lengths, size=options.beam, constraints=exact)
    for cell in ("gru", "lstm"):
        for attention in (None, Attention("additive")):
            torch.manual_seed(0)
            model = EncoderDecoder(
                V,
                V,
                cell=cell,
                embedding=options.hidden,
                hidden=options.hidden,
                bidirectional=False,
                attention=attention,
            ).eval()
            start = torch.ones(B, dtype=torch.int64)
            with torch.no_grad():
                state = model.start(model.encode(torch.randint(1, V, (B, T)), torch.full((B,), T)))
            seconds = take_turns(
                {
                    "greedy": lambda model=model, state=state, start=start: greedy(
                        model.step, state, start, end=0, maximum=lengths, select=model.select, constraints=exact
                    ),
                    "beam": lambda model=model, state=state, start=start: beam_search(
                        model.step, model.select, state, start, settings
                    ),
                },
                options.seconds,
            )
            name = f"{cell}, attention" if attention else cell
            print(
                f"| {name} | {B / seconds['greedy']:.0f} | {B / seconds['beam']:.0f} "
                f"| **{seconds['beam'] / seconds['greedy']:.2f}** × greedy |",
                flush=True,
            )


if __name__ == "__main__":
    main()

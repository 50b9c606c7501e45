import itertools

import pytest
import torch

from recurra.layers import LinearChainCRF

B, T, C = 4, 5, 3
LENGTHS = torch.tensor([5, 1, 3, 2])
# A scheme in the small: tag 1 only behind 0 or 1, never first; tag 2 never last.
FOLLOWS = torch.tensor([[1, 1, 1], [1, 1, 1], [1, 0, 1]], dtype=torch.bool)
FIRST, LAST = torch.tensor([True, False, True]), torch.tensor([True, True, False])


@pytest.fixture(params=["free", "constrained"])
def field(request) -> LinearChainCRF:
    torch.manual_seed(1)
    limits = (FOLLOWS, FIRST, LAST) if request.param == "constrained" else ()
    field = LinearChainCRF(C, *limits).double()
    for parameter in field.parameters():
        torch.nn.init.normal_(parameter)
    return field


@pytest.fixture
def scores() -> torch.Tensor:
    torch.manual_seed(2)
    scores = torch.randn(B, T, C, dtype=torch.float64)
    for row, length in enumerate(LENGTHS):
        scores[row, length:] = torch.nan  # nothing behind a row's end may be read
    return scores


def paths(field: LinearChainCRF, scores: torch.Tensor) -> dict[tuple[int, ...], torch.Tensor]:
    """The score of every allowed path of a row [T, C], from the definition."""
    found = {}
    for path in itertools.product(range(C), repeat=len(scores)):
        pairs = list(itertools.pairwise(path))
        if field.first[path[0]] and field.last[path[-1]] and all(field.follows[i, j] for i, j in pairs):
            found[path] = (
                field.starts[path[0]]
                + field.ends[path[-1]]
                + sum(scores[t, tag] for t, tag in enumerate(path))
                + sum(field.transitions[i, j] for i, j in pairs)
            )
    return found


def test_the_partition_function_is_the_sum_over_all_paths(field, scores):
    for row, value in enumerate(field.log_partition(scores, LENGTHS)):
        every = torch.stack(list(paths(field, scores[row, : LENGTHS[row]]).values()))
        torch.testing.assert_close(value, every.logsumexp(0))


def test_the_loss_is_minus_log_p_and_so_are_its_gradients(field, scores):
    scores.requires_grad_()
    tags = torch.full((B, T), -100)  # behind a row's end any number
    by_hand = []
    for row, length in enumerate(LENGTHS):
        found = paths(field, scores[row, :length])
        path = sorted(found)[len(found) // 2]
        tags[row, :length] = torch.tensor(path)
        by_hand.append(torch.stack(list(found.values())).logsumexp(0) - found[path])
    by_hand = torch.stack(by_hand)
    loss = field(scores, tags, LENGTHS)
    torch.testing.assert_close(loss, by_hand)
    wanted = [scores, *field.parameters()]
    weights = torch.arange(1.0, B + 1, dtype=torch.float64)
    ours = torch.autograd.grad(loss @ weights, wanted)
    theirs = torch.autograd.grad(by_hand @ weights, wanted)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)
        assert one.isfinite().all()


def test_probabilities_sum_to_one(field, scores):
    row = scores[2, :3].unsqueeze(0)
    every = torch.tensor(list(paths(field, row[0])))
    losses = field(row.expand(len(every), -1, -1), every, torch.full((len(every),), 3))
    torch.testing.assert_close((-losses).exp().sum(), torch.tensor(1.0, dtype=torch.float64))


def test_the_gradient_of_the_partition_function_is_the_probability_of_each_tag(field, scores):
    scores.requires_grad_()
    (marginals,) = torch.autograd.grad(field.log_partition(scores, LENGTHS).sum(), scores)
    alive = torch.arange(T) < LENGTHS[:, None]
    torch.testing.assert_close(marginals.sum(-1), alive.double())


def test_viterbi_finds_the_best_path(field, scores):
    found = field.decode(scores, LENGTHS)
    for row in range(B):
        every = paths(field, scores[row, : LENGTHS[row]])
        best = max(every, key=lambda path: every[path].item())
        assert found[row, : LENGTHS[row]].tolist() == list(best)
        assert (found[row, LENGTHS[row] :] == 0).all()


def test_a_forbidden_path_has_no_probability(scores):
    field = LinearChainCRF(C, FOLLOWS, FIRST, LAST).double()
    forbidden = torch.tensor([[1, 1, 0, 0, 0]])  # 1 comes first
    assert field(scores[:1], forbidden, LENGTHS[:1]) > 5000
    # However much the scores are for it.
    tempting = torch.zeros(1, 3, C)
    tempting[..., 1] = 50.0
    path = field.float().decode(tempting, torch.tensor([3]))
    assert path.tolist() == [[0, 1, 1]]


def test_a_row_does_not_depend_on_its_batch(field, scores):
    whole = field.log_partition(scores, LENGTHS)
    alone = torch.cat([field.log_partition(scores[k : k + 1, : LENGTHS[k]], LENGTHS[k : k + 1]) for k in range(B)])
    torch.testing.assert_close(whole, alone, rtol=0, atol=1e-12)


def test_a_rule_of_neighbours_is_learnt_where_no_score_tells():
    """Of two tags that alternate, a network that sees nothing knows only the first; the field knows them all."""
    torch.manual_seed(0)
    field = LinearChainCRF(2)
    tags = torch.tensor([[0, 1] * 4, [1, 0] * 4])
    scores = torch.zeros(2, 8, 2)
    optimizer = torch.optim.Adam(field.parameters(), lr=0.2)
    for _ in range(100):
        optimizer.zero_grad()
        loss = field(scores, tags, torch.full((2,), 8)).mean()
        loss.backward()
        optimizer.step()
    assert loss.item() == pytest.approx(torch.tensor(2.0).log().item(), abs=0.02)  # which of the two: one bit


def test_what_cannot_be_is_refused():
    for wrong, said in (
        ((0,), "expected at least 1"),
        ((2, torch.ones(3, 3)), r"follows has the shape \[3, 3\]; expected \[2, 2\]"),
        ((2, None, torch.zeros(2)), "first allows nothing"),
    ):
        with pytest.raises(ValueError, match=said):
            LinearChainCRF(*wrong)

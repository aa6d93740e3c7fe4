import pytest
import torch

from toolkit.errors import ConfigError
from toolkit.training.muon import Muon, orthogonalised
from toolkit.training.recipe import Recipe


@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (8, 8)])
def test_all_directions_get_nearly_the_same_length(shape):
    lengths = torch.linalg.svdvals(orthogonalised(torch.randn(shape, generator=torch.Generator().manual_seed(1)), 8))
    assert lengths.min() > 0.6 and lengths.max() < 1.3


def test_flat_directions_are_learned_too():
    # what is seen lies mostly in a few directions: plain descent at a stable rate hardly learns the others
    torch.manual_seed(2)
    basis = torch.linalg.qr(torch.randn(12, 12))[0]
    seen, wanted = torch.logspace(0, -1.5, 12)[:, None] * basis, torch.randn(4, 12)

    def error_after(make, rate):
        layer = torch.nn.Linear(12, 4)
        optimiser = make(layer.parameters(), lr=rate)
        for step in range(300):
            optimiser.param_groups[0]["lr"] = rate * (1 - step / 300)
            optimiser.zero_grad()
            ((seen @ (layer.weight - wanted).T).square().sum() + (layer.bias - 1).square().sum()).backward()
            optimiser.step()
        assert (layer.bias.detach() - 1).abs().max() < 0.05
        return float((layer.weight.detach() - wanted).norm() / wanted.norm())

    assert error_after(Muon, 0.1) < 0.2 * error_after(torch.optim.Adam, 0.1) < 0.2 * error_after(torch.optim.SGD, 0.4)


def test_its_state_is_saved_and_resumed():
    def steps(optimiser, weight, number):
        for _ in range(number):
            weight.grad = (weight.detach() - 1) * torch.arange(1.0, 7).view(2, 3)
            optimiser.step()

    once, twice = (torch.nn.Parameter(torch.zeros(2, 3)) for _ in range(2))
    steps(Muon([once]), once, 6)
    first = Muon([twice])
    steps(first, twice, 3)
    second = Muon([twice])
    second.load_state_dict(first.state_dict())
    steps(second, twice, 3)
    assert torch.equal(once, twice)


def test_an_unknown_optimiser_is_refused():
    """When the recipe is read: no folder is made, no step tried."""
    with pytest.raises(ConfigError, match="optimiser can't be 'sgd'.*adam, muon"):
        Recipe.load("mini-fomm", ["optimiser=sgd"])

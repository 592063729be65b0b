"""What training with a teacher and compressing share."""

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from pbgen.training.teacher import Teacher, example_errors


class Counting(nn.Module):
    """Writes to its own tensor in evaluation, too: in place, by another tensor, or so that torch does not count it."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "in place":
            self.calls += 1
        elif self.how == "another":
            self.calls = self.calls + 1
        else:
            self.calls.data.add_(1)
        return x * self.calls


def test_a_teacher_says_the_same_each_time_and_leaves_its_input() -> None:
    others = [nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 3)), nn.Dropout(0.5).train()]
    for module in (*map(Counting, ("in place", "another", "data")), *others):
        teacher, x = Teacher(Fabric(accelerator="cpu"), module), torch.linspace(-1, 1, 8).reshape(2, 4)
        made = [teacher.outputs((x,), seed=3)[0] for _ in range(3)]
        assert all(torch.equal(made[0], other) and not other.requires_grad for other in made)
        assert torch.equal(x, torch.linspace(-1, 1, 8).reshape(2, 4))


def test_errors_are_mean_squares_of_examples() -> None:
    made, right = torch.tensor([[1.0, 2.0], [4.0, 5.0]], requires_grad=True), torch.tensor([[1.0, 0.0], [1.0, 5.0]])
    found = example_errors(made, right)
    assert found.tolist() == [2.0, 4.5]
    found.sum().backward()
    assert made.grad is not None and made.grad.tolist() == [[0.0, 2.0], [3.0, 0.0]]
    assert example_errors(torch.tensor(3.0), torch.tensor(1.0)).tolist() == [4.0]
    assert example_errors(torch.tensor([3.0, 1.0]), torch.tensor([1.0, 1.0])).tolist() == [4.0, 0.0]

"""Functions as modules."""

from torch import Tensor, nn


class Function(nn.Module):
    """A function as a module; `tensors` become parameters, by name, of the module that it gets first."""

    def __init__(self, function, **tensors: Tensor) -> None:
        super().__init__()
        self.function, self.named = function, bool(tensors)
        for name, tensor in tensors.items():
            self.register_parameter(name, nn.Parameter(tensor))

    def forward(self, *inputs: Tensor):
        return self.function(self, *inputs) if self.named else self.function(*inputs)


class Several(nn.Module):
    """Modules and functions that read the same inputs, an output for each."""

    def __init__(self, entries: dict) -> None:
        super().__init__()
        self.entries = {name: entry for name, entry in entries.items() if not isinstance(entry, nn.Module)}
        self.layers = nn.ModuleDict({name: entry for name, entry in entries.items() if isinstance(entry, nn.Module)})

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        made = {name: entry(*inputs) for name, entry in self.entries.items()}
        return made | {name: layer(*inputs) for name, layer in self.layers.items()}

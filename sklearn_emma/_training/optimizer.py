"""Adam by torch's fused kernel, for one model or for a stack of them, with little around it.

The steps of small models take so little arithmetic that what ``torch.optim.Adam`` does around its
kernel, a state and a step count for every parameter, would be a tenth of the time.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

# The fused kernel takes so many numbers at a time on some CPU, and the rest of a tensor one by
# one, which rounds them otherwise.
_REGISTER = 16


class FusedAdam(torch.optim.Optimizer):
    """Adam, as ``torch.optim.Adam(fused=True)`` but that all parameters count their steps together.

    Parameters
    ----------
    groups : list of dict
        Groups of parameters.
    lr, weight_decay : float
        As for :class:`torch.optim.Adam`.
    stacked : bool, default=False
        Whether parameters are those of several models, of shape (n_models, ...); then every model
        is rounded as it would be alone.
    """

    def __init__(
        self, groups: list[dict[str, Any]], lr: float, weight_decay: float, stacked: bool = False
    ):
        defaults = {"lr": lr, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": weight_decay}
        super().__init__(groups, defaults)
        self.stacked = stacked
        device = next(p.device for group in groups for p in group["params"])
        self.n_steps = torch.zeros((), dtype=torch.float32, device=device)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take a step."""
        self.n_steps += 1
        for group in self.param_groups:
            parameters: list[Tensor] = []
            gradients: list[Tensor] = []
            means: list[Tensor] = []
            squares: list[Tensor] = []
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is None:
                    continue
                if parameter not in self.state:
                    self._see(parameter, torch.zeros_like(parameter), torch.zeros_like(parameter))
                state = self.state[parameter]
                parameters += state["parameters"]
                gradients += self._pieces(gradient.contiguous()) if self.stacked else [gradient]
                means += state["means"]
                squares += state["squares"]
            if not parameters:
                continue
            # what torch.optim.Adam(fused=True) calls
            torch._fused_adam_(
                parameters,
                gradients,
                means,
                squares,
                [],
                [self.n_steps] * len(parameters),
                lr=group["lr"],
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                amsgrad=False,
                maximize=False,
            )

    def _see(self, parameter: Tensor, mean: Tensor, square: Tensor) -> None:
        self.state[parameter] = {
            "mean": mean,
            "square": square,
            "parameters": self._pieces(parameter),
            "means": self._pieces(mean),
            "squares": self._pieces(square),
        }

    def replace(self, old: Tensor, new: Tensor, places: list[int]) -> None:
        """Go on with some of the models of a stacked parameter."""
        state = self.state.pop(old)
        self._see(new, state["mean"][places], state["square"][places])

    def _pieces(self, tensor: Tensor) -> Sequence[Tensor]:
        """Cut a stack into what the kernel rounds as it does for a model alone."""
        whole = (
            not self.stacked or tensor.device.type != "cpu" or tensor[0].numel() % _REGISTER == 0
        )
        return [tensor] if whole else tensor.unbind()

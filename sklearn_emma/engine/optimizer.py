"""Optimizer: Muon for weights of hidden layers, and the fused Adam of torch for all others.

It trains one model or a stack of models, with little overhead. For a small model, the overhead of
``torch.optim.Adam`` around its fused kernel would be a tenth of the computing time.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sklearn_emma.engine.muon import muon_step

#: Names of the optimizers.
SOLVERS = ("muon", "adam")
# On some CPUs, the fused kernel processes this many numbers at a time, and the rest of a tensor one
# by one, with different rounding.
_REGISTER = 16


class FusedOptimizer(torch.optim.Optimizer):
    """Adam like ``torch.optim.Adam(fused=True)``, or Muon combined with Adam.

    Parameters
    ----------
    groups : list of dict
        Parameter groups. Groups in which "hidden" is True are weights of hidden layers.
    lr, weight_decay : float
        Parameters of :class:`torch.optim.Adam`.
    solver : {"muon", "adam"}, default="adam"
        Optimizer of the weights of hidden layers, see :mod:`~sklearn_emma.engine.muon`.
    stacked : bool, default=False
        Whether parameters have the shape (n_models, ...). The rounding of every model is then the
        same as if it was trained alone.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        lr: float,
        weight_decay: float,
        solver: str = "adam",
        stacked: bool = False,
    ):
        defaults = {
            "hidden": False,
            "lr": lr,
            "betas": (0.9, 0.999),
            "eps": 1e-8,
            "weight_decay": weight_decay,
        }
        super().__init__(groups, defaults)
        self.solver = solver
        self.stacked = stacked

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters, see :meth:`torch.optim.Optimizer.add_param_group`.

        The method of torch is wrapped in a function that first imports the compiler of torch, which
        takes seconds and is not used here. Therefore the wrapped method is called.

        Parameters
        ----------
        param_group : dict
            Parameters, as "params", and their own options.
        """
        method = torch.optim.Optimizer.add_param_group
        getattr(method, "__wrapped__", method)(self, param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take a step with the learning rates of the groups."""
        self.update()

    @torch.no_grad()
    def update(self, lr: float | None = None, beta: float | None = None) -> None:
        """Take a step, without the hooks of :meth:`torch.optim.Optimizer.step`.

        Parameters
        ----------
        lr : float, default=None
            Learning rate. None uses that of each group.
        beta : float, default=None
            Decay of the first moment. None uses that of each group.
        """
        for group in self.param_groups:
            rate = group["lr"] if lr is None else lr
            decay = group["betas"][0] if beta is None else beta
            pairs = [(p, p.grad) for p in group["params"] if p.grad is not None]
            if self.solver == "muon" and group["hidden"]:
                self._update_hidden(pairs, rate, decay, group["weight_decay"])
            elif pairs:
                self._update_others(pairs, rate, decay, group)

    def _update_hidden(
        self, pairs: list[tuple[Tensor, Tensor]], lr: float, beta: float, weight_decay: float
    ) -> None:
        """Take a step of Muon for parameters and their gradients."""
        for parameter, gradient in pairs:
            if parameter not in self.state:
                self.state[parameter] = {"mean": torch.zeros_like(parameter)}
            mean = self.state[parameter]["mean"]
            muon_step(parameter, gradient, mean, lr=lr, beta=beta, weight_decay=weight_decay)

    def _update_others(
        self, pairs: list[tuple[Tensor, Tensor]], lr: float, beta: float, group: dict[str, Any]
    ) -> None:
        """Take a step of Adam for parameters and their gradients."""
        parameters: list[Tensor] = []
        gradients: list[Tensor] = []
        means: list[Tensor] = []
        squares: list[Tensor] = []
        counts: list[Tensor] = []
        of_pieces: list[Tensor] = []
        for parameter, gradient in pairs:
            if parameter not in self.state:
                n_steps = torch.zeros((), dtype=torch.float32, device=parameter.device)
                zeros = (torch.zeros_like(parameter) for _ in range(2))
                self._see(parameter, n_steps, *zeros)
            state = self.state[parameter]
            parameters += state["parameters"]
            gradients += self._pieces(gradient.contiguous()) if self.stacked else [gradient]
            means += state["means"]
            squares += state["squares"]
            counts.append(state["n_steps"])
            of_pieces += [state["n_steps"]] * len(state["means"])
        # what torch.optim.Adam(fused=True) calls
        torch._foreach_add_(counts, 1)
        torch._fused_adam_(
            parameters,
            gradients,
            means,
            squares,
            [],
            of_pieces,
            lr=lr,
            beta1=beta,
            beta2=group["betas"][1],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )

    def _see(self, parameter: Tensor, n_steps: Tensor, mean: Tensor, square: Tensor) -> None:
        self.state[parameter] = {
            "n_steps": n_steps,
            "mean": mean,
            "square": square,
            "parameters": self._pieces(parameter),
            "means": self._pieces(mean),
            "squares": self._pieces(square),
        }

    def replace(self, old: Tensor, new: Tensor, places: list[int]) -> None:
        """Keep the optimizer state of some of the models of a stacked parameter."""
        state = self.state.pop(old)
        mean = state["mean"][places]
        if "square" in state:
            self._see(new, state["n_steps"], mean, state["square"][places])
        else:
            self.state[new] = {"mean": mean}

    def _pieces(self, tensor: Tensor) -> Sequence[Tensor]:
        """Split a stack into models if the rounding would otherwise differ from a single model."""
        whole = (
            not self.stacked or tensor.device.type != "cpu" or tensor[0].numel() % _REGISTER == 0
        )
        return [tensor] if whole else tensor.unbind()

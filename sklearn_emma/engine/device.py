"""Select the device of a fit."""

import torch


def resolve_device(device: str | torch.device) -> torch.device:
    """Turn the ``device`` parameter of an estimator into a torch device.

    Parameters
    ----------
    device : str or torch.device
        Name of the device. "auto" uses CUDA if it is available, else the CPU.

    Returns
    -------
    torch.device
        An available device.

    Raises
    ------
    ValueError
        If the device is unknown or not available.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
    except (AssertionError, NotImplementedError, RuntimeError, TypeError) as error:
        raise ValueError(
            f"device={device!r} is not available here. Pass device='auto' to use CUDA if it is "
            "available, or device='cpu'."
        ) from error
    if resolved.type == "meta":
        raise ValueError(f"device={device!r} computes no values. Pass 'auto', 'cpu' or 'cuda'.")
    return resolved

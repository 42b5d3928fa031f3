"""Where a fit runs."""

import torch


def resolve_device(device: str | torch.device) -> torch.device:
    """Turn the ``device`` parameter of an estimator into a torch device.

    Parameters
    ----------
    device : str or torch.device
        "auto" takes CUDA when present, else the CPU.

    Returns
    -------
    torch.device
        A device that is there.

    Raises
    ------
    ValueError
        If the device is not known or not there.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
    except (AssertionError, NotImplementedError, RuntimeError, TypeError) as error:
        raise ValueError(
            f"device={device!r} is not available here. Pass device='auto' to take CUDA when it is "
            "present, or device='cpu'."
        ) from error
    return resolved

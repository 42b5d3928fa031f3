"""Memory of a process."""

import resource
import sys


def peak_memory():
    """Give the peak memory of this process, in MiB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit

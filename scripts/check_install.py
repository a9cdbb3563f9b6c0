"""Say so when a machine without a GPU got the CUDA build of PyTorch: it works, and costs gigabytes."""

import shutil
import sys
from importlib.metadata import distributions

cuda = sorted({d.name for d in distributions() if d.name.startswith("nvidia-")})
if cuda and shutil.which("nvidia-smi") is None:
    sys.stderr.write(
        f"note: {len(cuda)} CUDA packages were installed on a machine without a GPU. To avoid them, run `make clean`, "
        "then make again with PIP_ARGS naming the package index of PyTorch's CPU build (see PyTorch's install page).\n"
    )

"""Which of PyTorch's kernels may compute attention on a GPU."""

import torch


def avoid_cudnn_attention() -> None:
    """Keep cuDNN out of scaled-dot-product attention, for the whole process; without a GPU nothing is done.

    From 2.11 on PyTorch prefers it on Hopper and Blackwell. It makes a plan for every new length, which takes about a
    second, and here nearly every batch has new ones; and with a mask its backward pass gives NaN for some lengths
    (PyTorch's issue 196678). A context around the forward pass would not do: layers that are run again in the backward
    pass would choose another kernel there.
    """
    if torch.cuda.is_available():
        torch.backends.cuda.enable_cudnn_sdp(False)

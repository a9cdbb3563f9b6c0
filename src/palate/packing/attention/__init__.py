"""Attention over the tree layout: one question, several paths that answer it alike.

| path       | where                          | how                                                        |
|------------|--------------------------------|------------------------------------------------------------|
| `varlen`   | CUDA, half precision           | one call of the variable-length kernel, keys gathered      |
| `flex`     | CUDA, half precision           | one compiled kernel, scores capped, unseen blocks skipped  |
| `cascade`  | CUDA, half precision           | own rows and prompts apart, merged: no copies of keys      |
| `segments` | anywhere                       | one scaled-dot-product call a segment                      |
| `dense`    | anywhere                       | one [T, T] mask: the oracle                                |

`palate.packing.attention.choice` says which one a layer gets, and why.
"""

from palate.packing.attention.choice import path_of_body
from palate.packing.attention.dense import visibility
from palate.packing.attention.interface import TREE, TREE_DENSE, dense_tree_attention, no_mask, tree_attention

__all__ = ["TREE", "TREE_DENSE", "dense_tree_attention", "no_mask", "path_of_body", "tree_attention", "visibility"]

"""PyTorch's optimizers with a tensor in place of a number: costs, reads and how to avoid them."""

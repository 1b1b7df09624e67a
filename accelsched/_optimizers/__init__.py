"""What does PyTorch's optimizer do with a tensor in the place of a number?"""

"""The numba lowering of schedules; installed as ``accelsched.kernels``."""

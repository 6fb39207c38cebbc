"""Create, prove and explain TensorFlow environments that really use the NVIDIA GPU."""

__version__ = "0.1.0"

"""The journal in the environment: what is done is on the disk before it is done."""

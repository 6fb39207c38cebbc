"""Rules: the signals of a log → findings, one module for each area."""

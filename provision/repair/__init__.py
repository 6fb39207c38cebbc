"""Fix an environment as one transaction: plan, build on a copy, change by files, prove, keep or walk back; undo."""

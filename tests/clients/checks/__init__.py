"""The matrix: a module per subject, its checks in `CHECKS`, each named as a sentence."""

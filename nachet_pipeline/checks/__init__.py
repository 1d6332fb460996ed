"""The asset checks: the folder contract, check by check."""

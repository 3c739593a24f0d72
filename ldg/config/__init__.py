"""From a command line to a config that fits its targets: composed, resolved and checked without importing torch."""

"""The commands of ldg: each reads its arguments, and hands them to the packages that do the work."""

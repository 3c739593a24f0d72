"""Many runs from one command: a plan, a folder that loses nothing, a report."""

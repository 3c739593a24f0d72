"""What a process prints to."""

import os
import select


def leave_dead_outputs() -> bool:
    """Let stdout and stderr lead nowhere where the terminal was closed or the program that read them has ended.

    Whoever prints there afterwards does not break.

    Returns:
        Whether one of them was so.
    """
    if not hasattr(select, "poll"):  # Windows
        return False
    found = False
    outputs = select.poll()
    for fd in (1, 2):
        outputs.register(fd, 0)
    for fd, event in outputs.poll(0):
        if event & (select.POLLERR | select.POLLHUP):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, fd)
            os.close(nowhere)
            found = True
    return found

"""Long work of a panel: nothing that was ordered is forgotten."""

import threading

import pytest

from twinlab.widgets.worker import Worker


class NosyLock:
    """A lock whose every release is the moment in which somebody else comes in."""

    def __init__(self):
        self._lock, self.on_release = threading.RLock(), lambda: None

    def __enter__(self):
        self._lock.acquire()

    def __exit__(self, *_):
        self._lock.release()
        self.on_release()


@pytest.mark.parametrize("nth", range(1, 8))
def test_an_order_that_comes_in_at_any_release_of_the_lock_is_done(nth):
    lock, orders, done, seen = NosyLock(), ["first"], [], []

    def come_in():
        seen.append(1)
        if len(seen) == nth:
            orders.append("second")
            worker.wake()

    def find_task():
        return (lambda: done.append(orders.pop(0))) if orders else None

    worker = Worker(lock, find_task, lambda error: None, lambda: None)
    lock.on_release = come_in
    worker.wake()
    assert done == (["first", "second"] if len(seen) >= nth else ["first"])
    assert not worker.is_busy


def test_after_an_error_it_can_be_woken_again():
    def fail():
        raise ValueError("a fault")

    tasks, idle = [fail], []
    worker = Worker(threading.RLock(), lambda: tasks.pop() if tasks else None, idle.append, lambda: idle.append("idle"))
    with pytest.raises(ValueError, match="a fault"):
        worker.wake()
    assert (worker.is_busy, idle) == (False, ["idle"])
    tasks.append(lambda: idle.append("done"))
    worker.wake()
    assert idle == ["idle", "done", "idle"]

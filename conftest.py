"""For every pytest here, nbval's too: its kernels run in notebooks/, where a relative path is another folder, and are
started as `kdlib notebooks` starts them, so that nothing of this machine shows."""

from contextlib import ExitStack

from kdlib.settings import settings

settings()


def pytest_configure(config):
    if config.getoption("nbval", False):
        from kdlib.book import own_kernels

        stack = ExitStack()
        stack.enter_context(own_kernels())
        config.add_cleanup(stack.close)
        config.option.nbval_current_env = True

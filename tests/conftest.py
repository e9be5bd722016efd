"""What all tests stand on."""

import signal

import pytest

# What differs is told where its assertions fail, too.
pytest.register_assert_rewrite("tests.production.soundness")

# `nohup`, and a shell without job control for what it puts in the background, start programs deaf to these;
# children inherit that, and tests that send them would wait for ever.
for deaf, listening in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(deaf) is signal.SIG_IGN:
        signal.signal(deaf, listening)

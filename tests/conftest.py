"""What all tests stand on."""

import signal

# A shell without job control starts what runs in the background deaf to SIGINT, and children inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

"""The entry point of a checkout: python launch.py train | sweep | sample | translate | evaluate."""

import signal

if __name__ == "__main__":
    # First of all, block signals: they stay pending until the program watches for them.
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    from ganjax.cli.main import main

    main()

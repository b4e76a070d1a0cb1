"""The entry of a checkout: python launch.py train | sweep | sample | translate | evaluate."""

import signal

if __name__ == "__main__":
    # Before all else: signals that come now stay pending until the program watches for them.
    heeded = [n for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]
    signal.pthread_sigmask(signal.SIG_BLOCK, heeded)
    from ganjax.cli.main import main

    main()

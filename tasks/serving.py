"""Prefect's own server in the foreground, for a look at runs that were made without one."""

import os
import signal
import socket
import subprocess
import sys

from populace.errors import UsageError


def serve_ui(port: int) -> int:
    """Serve API and UI on loopback until interrupted or terminated; returns the server's exit code."""
    url = f"http://127.0.0.1:{port}/api"
    # Without this the UI asks port 4200 whatever the server's own is.
    environment = os.environ | {"PREFECT_SERVER_UI_API_URL": url, "PREFECT_API_URL": url}
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, env=environment) as server:
        signal.signal(signal.SIGTERM, lambda _signal, _frame: server.terminate())
        try:
            return server.wait()
        except KeyboardInterrupt:  # the server got it too
            return 0


def check_free(port: int) -> None:
    """Refuse a port that something listens on."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            message = f"something listens on port {port} already; end it, or choose another with --port"
            raise UsageError(message)

"""Prefect's own server in the foreground, for a look at runs that were made without one."""

import os
import subprocess
import sys


def serve_ui(port: int) -> int:
    """Serve API and UI on loopback until interrupted; returns the server's exit code."""
    url = f"http://127.0.0.1:{port}/api"
    # Without this the UI asks port 4200 whatever the server's own is.
    environment = os.environ | {"PREFECT_SERVER_UI_API_URL": url, "PREFECT_API_URL": url}
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    try:
        return subprocess.run(command, env=environment, check=False).returncode
    except KeyboardInterrupt:
        return 0

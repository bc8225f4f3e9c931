"""Messages to a Jupyter server's kernels, as a page in a browser sends and hears them."""

import json
import urllib.request

from websocket import WebSocket, create_connection

__all__ = ["connect_kernel", "hear", "send"]


def connect_kernel(host: str, token: str) -> WebSocket:
    """A new kernel of the server at this address."""
    asked = urllib.request.Request(f"{host}/api/kernels", b"{}", {"Authorization": f"token {token}"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=60) as answer:
        name = json.load(answer)["id"]
    channels = f"{host.replace('http', 'ws')}/api/kernels/{name}/channels?token={token}"
    return create_connection(channels, timeout=60, http_no_proxy="*")


def send(kernel: WebSocket, kind: str, **content) -> None:
    """A request of this kind, such as `execute_request`."""
    header = {"msg_id": kind, "msg_type": kind, "username": "", "session": "", "version": "5.3"}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    kernel.send(json.dumps(message))


def hear(kernel: WebSocket, kind: str) -> dict:
    """What the next message of this kind says."""
    while (message := json.loads(kernel.recv()))["msg_type"] != kind:
        pass
    return message["content"]

"""Messages to a Jupyter server's kernels, as a page in a browser sends and hears them."""

import json
import urllib.request
from typing import Any
from uuid import uuid4

from websocket import WebSocket, create_connection

__all__ = ["ask", "connect_kernel", "hear", "send"]


def ask(address: str, token: str, method: str = "GET", content: dict | None = None, timeout: float = 60) -> Any:
    """What a server's, or a hub's, interface answers."""
    data = None if content is None else json.dumps(content).encode()
    asked = urllib.request.Request(address, data, {"Authorization": f"token {token}"}, method=method)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=timeout) as answer:
        return json.loads(answer.read() or b"null")


def connect_kernel(host: str, token: str, timeout: float = 60) -> WebSocket:
    """A new kernel of the server at this address."""
    name = ask(f"{host}/api/kernels", token, "POST", {}, timeout)["id"]
    channels = f"{host.replace('http', 'ws', 1)}/api/kernels/{name}/channels"
    header = {"Authorization": f"token {token}"}  # a hub takes none in the address
    return create_connection(channels, timeout=timeout, http_no_proxy="*", header=header)


def send(kernel: WebSocket, kind: str, **content) -> None:
    """A request of this kind, such as `execute_request`."""
    header = {"msg_id": uuid4().hex, "msg_type": kind, "username": "", "session": "", "version": "5.3"}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    kernel.send(json.dumps(message))


def hear(kernel: WebSocket, kind: str) -> dict:
    """What the next message of this kind says."""
    while (message := json.loads(kernel.recv()))["msg_type"] != kind:
        pass
    return message["content"]

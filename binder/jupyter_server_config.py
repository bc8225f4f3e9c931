"""The Jupyter server's settings on Binder; postBuild puts them where it looks for them."""

c = get_config()  # noqa: F821

# A kernel takes some 400 MB and the machine has 2 GB. Tabs of lessons read before stay open, so a connected kernel may
# be idle too; half an hour, since a lesson takes up to 25 minutes. A kernel that computes is busy, and is kept.
c.MappingKernelManager.cull_idle_timeout = 30 * 60
c.MappingKernelManager.cull_interval = 60
c.MappingKernelManager.cull_connected = True

# A series of one's own reaches a panel as one message, and may have 100 MB; the server's own limit is 10 MB.
c.ServerApp.tornado_settings = {"websocket_max_message_size": 101_000_000}

# /// variant
# title = "calls home by every kind of socket"
# has = ["mul_adjoint"]
# ///
import socket
import urllib.request

FAMILIES = {name: getattr(socket, name) for name in dir(socket) if name.startswith("AF_")}
for name, family in FAMILIES.items():
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
        try:
            socket.socket(family, kind)
            print("smug" + "gled:", name)
        except OSError:
            pass
for way in (
    lambda: socket.create_connection(("127.0.0.1", 22), 1),
    lambda: socket.getaddrinfo("example.org", 80),
    lambda: urllib.request.urlopen("http://127.0.0.1/", timeout=1),
    lambda: socket.create_server(("127.0.0.1", 0)),
    lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM),
):
    try:
        print("smug" + "gled:", way())
    except OSError as error:
        print(type(error).__name__)

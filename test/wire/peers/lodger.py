"""Something that is no miner, on a free loopback port, which it prints: it counts. Arguments: KIND.

Standard library only, one thread: what ends is seen before what begins. A line `connections N, at once M, writes W` goes
out when a client says `count` and closes. KIND: `printer` answers HTTP 404 to all;
`keeper` too, and leaves the connection open; `rubbish` sends noise and stays open;
`silent` never answers; `drip` sends a byte each 50 ms; `endless` sends without end.
"""
import selectors
import socket
import sys
import time

KIND = sys.argv[1]
listener = socket.create_server(("127.0.0.1", 0), backlog=64)
listener.setblocking(False)
watch = selectors.DefaultSelector()
watch.register(listener, selectors.EVENT_READ)
held, connections, at_once, writes = {}, 0, 0, 0
NOISE = bytes((i * 89 + 7) & 0xFF for i in range(64))
PAGE = b"HTTP/1.1 404 Not Found\r\nServer: JetDirect\r\nContent-Length: 9\r\nConnection: close\r\n\r\nnot found"
print(listener.getsockname()[1], flush=True)


def end(client):
    watch.unregister(client)
    client.close()
    held.pop(client, None)


def heard(client):
    global connections, writes
    try:
        part = client.recv(65536)
    except OSError:
        part = b""
    if not part:
        return end(client)
    if part == b"count":
        client.setblocking(True)
        client.sendall(f"connections {connections - 1}, at once {at_once}, writes {writes}".encode())
        return end(client)
    before = held[client]
    held[client] = before + part
    # What is no read: any method but GET, any command but those that tell what a device is.
    words = held[client]
    if not before and not (words.startswith(b"GET ") or b'"version"' in words or b'"get_version"' in words or b'"get.device.info"' in words):
        writes += 1
    if KIND == "printer":
        client.sendall(PAGE)
        end(client)
    elif KIND == "keeper":
        client.sendall(PAGE.replace(b"Connection: close\r\n", b""))
    elif KIND == "rubbish":
        client.sendall(NOISE)


while True:
    ready = [key.fileobj for key, _ in watch.select(0.05)]
    for client in [one for one in ready if one is not listener]:
        heard(client)
    if KIND in ("drip", "endless"):
        for client in list(held):
            try:
                if held[client]:
                    client.send(b"{" if KIND == "drip" else b"x" * 65536)
            except BlockingIOError:
                pass
            except OSError:
                end(client)
    if listener in ready:
        client, _ = listener.accept()
        client.setblocking(False)
        watch.register(client, selectors.EVENT_READ)
        held[client] = b""
        connections += 1
        at_once = max(at_once, len(held))

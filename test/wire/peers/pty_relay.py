"""Two serial ends that a master and a slave can open, without hardware. Standard library only.

With a port: one pseudo terminal joined to 127.0.0.1:PORT. Without: two, joined to each other. Prints their names, one a
line. What is written to a pseudo terminal goes through at once: the pace of a baud rate is played by who answers.
"""
import os
import select
import socket
import sys
import tty


def open_end():
    master, slave = os.openpty()
    # Left open here, so that the other side may close and open it again.
    tty.setraw(slave)
    return master, os.ttyname(slave)


def main():
    first, name = open_end()
    names = [name]
    if len(sys.argv) > 1:
        link = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        second = link.detach()
    else:
        second, name = open_end()
        names.append(name)
    print(" ".join(names), flush=True)
    other = {first: second, second: first}
    while True:
        for end in select.select([first, second], [], [])[0]:
            data = os.read(end, 4096)
            if not data:
                return
            os.write(other[end], data)


try:
    main()
except OSError:
    sys.exit(0)

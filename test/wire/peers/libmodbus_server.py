"""A Modbus server of libmodbus, by ctypes. Arguments: tcp | rtu DEVICE UNIT.

tcp: on a free loopback port, which it prints, the meters of meter_images.json, each under its unit number; registers
without a value are 0. rtu: one of them on a serial device at 19,200 baud; says when it is ready.
"""
import ctypes
import os
import select
import socket
import sys

from meter_words import images

library = ctypes.CDLL("libmodbus.so.5", use_errno=True)
REGISTERS = 0x10000


class Mapping(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in (
        "nb_bits", "start_bits", "nb_input_bits", "start_input_bits",
        "nb_input_registers", "start_input_registers", "nb_registers", "start_registers")]
    _fields_ += [("tab_bits", ctypes.c_void_p), ("tab_input_bits", ctypes.c_void_p),
                 ("tab_input_registers", ctypes.POINTER(ctypes.c_uint16)),
                 ("tab_registers", ctypes.POINTER(ctypes.c_uint16))]


library.modbus_mapping_new.restype = ctypes.POINTER(Mapping)
library.modbus_new_tcp.restype = ctypes.c_void_p
library.modbus_new_rtu.restype = ctypes.c_void_p


def mappings():
    made = {}
    for unit, (function, words) in images().items():
        holding, inputs = (REGISTERS, 0) if function == 3 else (0, REGISTERS)
        mapping = library.modbus_mapping_new(0, 0, holding, inputs)
        table = mapping.contents.tab_registers if function == 3 else mapping.contents.tab_input_registers
        for address, word in words.items():
            table[address] = word
        made[unit] = mapping
    return made


def serve_tcp(made):
    context = ctypes.c_void_p(library.modbus_new_tcp(b"127.0.0.1", 1502))
    query = (ctypes.c_uint8 * 260)()
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    print(listener.getsockname()[1], flush=True)
    clients = {}
    while True:
        for ready in select.select([listener, *clients.values()], [], [])[0]:
            if ready is listener:
                client, _ = listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                clients[client.fileno()] = client
                continue
            library.modbus_set_socket(context, ready.fileno())
            length = library.modbus_receive(context, query)
            if length < 0:
                clients.pop(ready.fileno()).close()
            elif query[6] in made:
                library.modbus_reply(context, query, length, made[query[6]])


def serve_rtu(made, device):
    context = ctypes.c_void_p(library.modbus_new_rtu(device.encode(), 19200, ctypes.c_char(b"N"), 8, 1))
    query = (ctypes.c_uint8 * 260)()
    unit = int(sys.argv[3])
    library.modbus_set_slave(context, unit)
    if library.modbus_connect(context) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    print("ready", flush=True)
    while True:
        length = library.modbus_receive(context, query)
        if length > 0:
            library.modbus_reply(context, query, length, made[unit])


if sys.argv[1] == "rtu":
    serve_rtu(mappings(), sys.argv[2])
else:
    serve_tcp(mappings())

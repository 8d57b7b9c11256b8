"""A Modbus server of pymodbus on a free loopback port, which it prints. Arguments: tcp|rtu (framing), unit.

It holds a PM5xxx register image written by hand from the vendor's list, in which list numbers count from 1.
"""
import asyncio
import logging
import struct
import sys
import types

try:
    import serial_asyncio  # noqa: F401
except ModuleNotFoundError:
    # The package imports both even where no serial port is used.
    sys.modules["serial"] = types.ModuleType("serial")
    sys.modules["serial_asyncio"] = types.ModuleType("serial_asyncio")
    sys.modules["serial_asyncio"].create_serial_connection = None

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.server import StartAsyncTcpServer
from pymodbus.transaction import ModbusRtuFramer, ModbusSocketFramer

FLOATS = {
    3000: 412.5, 3002: 410.25, 3004: 411.0,  # A
    3028: 230.5, 3030: 231.0, 3032: 229.75,  # V
    3054: 92.5, 3056: 91.75, 3058: 92.25,  # kW
    3060: 276.5,
    3110: 49.98,
    3192: 0.97,
}
ENERGY_WH = {3204: 123456789012, 3208: 42}


def image():
    words = [0] * 4000
    for number, value in FLOATS.items():
        words[number - 1:number + 1] = struct.unpack(">HH", struct.pack(">f", value))
    for number, value in ENERGY_WH.items():
        words[number - 1:number + 3] = struct.unpack(">HHHH", struct.pack(">q", value))
    return words


async def main():
    logging.disable(logging.CRITICAL)
    framer = ModbusRtuFramer if sys.argv[1] == "rtu" else ModbusSocketFramer
    registers = ModbusSequentialDataBlock(0, image())
    # Every third discrete input is on; coils are off until they are written.
    inputs = ModbusSequentialDataBlock(0, [1, 0, 0] * 100)
    coils = ModbusSequentialDataBlock(0, [0] * 300)
    slave = ModbusSlaveContext(hr=registers, ir=registers, di=inputs, co=coils, zero_mode=True)
    context = ModbusServerContext(slaves={int(sys.argv[2]): slave}, single=False)
    server = await StartAsyncTcpServer(context, address=("127.0.0.1", 0), framer=framer, defer_start=True)
    task = asyncio.create_task(server.serve_forever())
    await server.serving
    print(server.server.sockets[0].getsockname()[1], flush=True)
    await task


asyncio.run(main())

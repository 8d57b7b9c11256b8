"""A Modbus server of pymodbus on a free loopback port, which it prints. Arguments: tcp|rtu (framing), unit, [image].

meters: all of meter_images.json, each under its unit number, with the registers that have a value and no others.
The images are written by hand: pm5xxx from the vendor's list, in which list numbers count from 1; sunspec from the
standard, a common model and a three-phase meter (203) at 40000; em133 from a Satec list, low words first.
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

from pymodbus.datastore import (
    ModbusSequentialDataBlock,
    ModbusServerContext,
    ModbusSlaveContext,
    ModbusSparseDataBlock,
)
from pymodbus.server import StartAsyncTcpServer
from pymodbus.transaction import ModbusRtuFramer, ModbusSocketFramer

from meter_words import images

FLOATS = {
    3000: 412.5, 3002: 410.25, 3004: 411.0,  # A
    3028: 230.5, 3030: 231.0, 3032: 229.75,  # V
    3054: 92.5, 3056: 91.75, 3058: 92.25,  # kW
    3060: 276.5,
    3110: 49.98,
    3192: 0.97,
}
ENERGY_WH = {3204: 123456789012, 3208: 42}


def pm5xxx():
    words = [0] * 4000
    for number, value in FLOATS.items():
        words[number - 1:number + 1] = struct.unpack(">HH", struct.pack(">f", value))
    for number, value in ENERGY_WH.items():
        words[number - 1:number + 3] = struct.unpack(">HHHH", struct.pack(">q", value))
    return words


def sunspec():
    words = [0] * 40250
    words[40000:40004] = [0x5375, 0x6E53, 1, 66]
    meter = [203, 105] + [0x8000] * 105
    meter[2:7] = [1236, 412, 411, 413, 0xFFFF]  # A: sum, phases; 10^-1 A
    meter[7:16] = [2304, 2300, 2310, 2302, 0x8000, 0x8000, 0x8000, 0x8000, 0xFFFF]  # V, 10^-1
    meter[16:18] = [4998, 0xFFFE]  # Hz, 10^-2
    meter[18:23] = [2765, 925, 917, 923, 2]  # W, 10^2
    meter[33:38] = [97, 0x8000, 0x8000, 0x8000, 0]  # power factor, per cent
    meter[38:40] = [0, 0]  # export: 0 means not counted
    meter[46:48] = [0x0001, 0x86A0]  # import: 100,000 Wh, 10^3
    meter[54] = 3
    words[40070:40070 + len(meter)] = meter
    words[40070 + len(meter):40072 + len(meter)] = [0xFFFF, 0]
    return words


def em133():
    words = [0] * 15000
    words[2390] = 1  # high resolution
    words[2305] = 1200  # PT ratio 120.0: power in kW, volts in V
    words[2306] = 400
    for address, value in {14336: -5250, 13952: 19919, 13958: 41250, 14468: 4999}.items():
        words[address:address + 2] = struct.unpack("<HH", struct.pack("<i", value))
    return words


IMAGES = {"pm5xxx": pm5xxx, "sunspec": sunspec, "em133": em133}


def one_slave(image):
    registers = ModbusSequentialDataBlock(0, IMAGES[image]())
    # Every third discrete input is on; coils are off until they are written.
    inputs = ModbusSequentialDataBlock(0, [1, 0, 0] * 100)
    coils = ModbusSequentialDataBlock(0, [0] * 300)
    return ModbusSlaveContext(hr=registers, ir=registers, di=inputs, co=coils, zero_mode=True)


def meter(function, words):
    there = ModbusSparseDataBlock(words)
    none = ModbusSparseDataBlock({0xFFFF: 0})
    holding, inputs = (there, none) if function == 3 else (none, there)
    return ModbusSlaveContext(hr=holding, ir=inputs, di=none, co=none, zero_mode=True)


async def main():
    logging.disable(logging.CRITICAL)
    framer = ModbusRtuFramer if sys.argv[1] == "rtu" else ModbusSocketFramer
    image = (sys.argv[3:] or ["pm5xxx"])[0]
    if image == "meters":
        slaves = {unit: meter(*made) for unit, made in images().items()}
    else:
        slaves = {int(sys.argv[2]): one_slave(image)}
    context = ModbusServerContext(slaves=slaves, single=False)
    server = await StartAsyncTcpServer(context, address=("127.0.0.1", 0), framer=framer, defer_start=True)
    task = asyncio.create_task(server.serve_forever())
    await server.serving
    print(server.server.sockets[0].getsockname()[1], flush=True)
    await task


asyncio.run(main())

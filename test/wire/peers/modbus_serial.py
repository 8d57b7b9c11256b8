"""A Modbus RTU device on a pseudo terminal, whose name it prints. Standard library only.

Every register holds the number of the question (first one) or its own address. Unit 9 is silent; unit 8 answers its
first question 1 s late.
"""
import os
import struct
import sys
import time
import tty


def crc(data):
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
    return struct.pack("<H", value)


def main():
    master, slave = os.openpty()
    tty.setraw(slave)
    print(os.ttyname(slave), flush=True)
    held = b""
    asked = 0
    late = True
    while True:
        held += os.read(master, 256)
        while len(held) >= 8:
            frame, held = held[:8], held[8:]
            if crc(frame[:6]) != frame[6:]:
                held = b""
                break
            unit, function, address, count = struct.unpack(">BBHH", frame[:6])
            asked += 1
            if unit == 9:
                continue
            if unit == 8 and late:
                late = False
                time.sleep(1.0)
            if function not in (3, 4):
                answer = struct.pack(">BBB", unit, function | 0x80, 1)
            else:
                words = [asked] + [address + at for at in range(1, count)]
                answer = struct.pack(">BBB", unit, function, 2 * count) + struct.pack(f">{count}H", *words)
            os.write(master, answer + crc(answer))


try:
    main()
except OSError:
    sys.exit(0)

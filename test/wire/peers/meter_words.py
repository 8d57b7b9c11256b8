"""The register images of meter_images.json as words, encoded here and not by the product.

The images were made from the register maps that the sources of each family give, apart from the profiles in
config/meters, so that an error in a profile shows. A row is [address, type, raw number or marker, quantity, value that
must be read (null: none), quality when it is not good]; "set" holds settings, identity and SunSpec's chain, "none"
runs of registers [from, count] that exist and hold the standard's mark for no value. Quantities of "sums" are made of
several. A profile's unit number is its place in the file, from 1.
"""
import json
import os
import struct

WORDS = {"int16": 1, "uint16": 1, "int32": 2, "uint32": 2, "float32": 2, "iskraT5": 2, "iskraT6": 2, "iskraT7": 2,
         "int64": 4, "uint64": 4, "float64": 4}
PACKED = {"int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "float32": ">f", "int64": ">q", "uint64": ">Q",
          "float64": ">d"}


def packed(kind, raw):
    if isinstance(raw, str):
        return bytes.fromhex(raw[2:])
    if kind in ("iskraT5", "iskraT6"):
        # Exponent of ten in the high byte, 24 bits of mantissa.
        exponent = -3
        while abs(round(raw / 10 ** exponent)) > (0xFFFFFF if kind == "iskraT5" else 0x7FFFFF):
            exponent += 1
        return struct.pack(">I", (exponent & 0xFF) << 24 | round(raw / 10 ** exponent) & 0xFFFFFF)
    if kind == "iskraT7":
        # Import or export, inductive or capacitive, ten-thousandths.
        return struct.pack(">BBH", 0 if raw >= 0 else 0xFF, 0, round(abs(raw) * 10000))
    return struct.pack(PACKED[kind], raw)


def words(kind, raw, order):
    data = packed(kind, raw)
    found = list(struct.unpack(f">{WORDS[kind]}H", data))
    return found if order == "msw" else found[::-1]


def images():
    """(function code, {address: word}) by unit number."""
    with open(os.path.join(os.path.dirname(__file__), "meter_images.json"), encoding="ascii") as file:
        profiles = json.load(file)
    made = {}
    for unit, image in enumerate(profiles.values(), 1):
        there = {at: 0x8000 for first, count in image.get("none", []) for at in range(first, first + count)}
        for address, kind, raw, *_ in image.get("set", []) + image["rows"]:
            for at, word in enumerate(words(kind, raw, image["order"])):
                there[address + at] = word
        made[unit] = (image["fc"], there)
    return made

#!/usr/bin/env python3
"""A driver in user space for QEMU's educational device, in Python, with nothing but its standard library.

It finds the device in /sys, binds it to an iommufd, maps a page for its DMA, has it copy the page's first half to the second
through the memory that the device has itself, and cleans up:

    ioasis run --machine intel --walk 0x100000 -- python3 examples/edu/edu.py

The structs are those of <linux/iommufd.h> and <linux/vfio.h>; the registers those of docs/specs/edu.rst of QEMU.
"""

import ctypes
import fcntl
import mmap
import os
import pathlib
import struct
import sys

IOMMU_DESTROY, IOMMU_IOAS_ALLOC, IOMMU_IOAS_MAP, IOMMU_IOAS_UNMAP = 0x3B80, 0x3B81, 0x3B85, 0x3B86
VFIO_DEVICE_BIND_IOMMUFD, VFIO_DEVICE_ATTACH_IOMMUFD_PT, VFIO_DEVICE_DETACH_IOMMUFD_PT = (0x3B00 + n for n in (118, 119, 120))
FIXED_IOVA, WRITEABLE, READABLE = 1, 2, 4

BAR0, CONFIG = 0 << 40, 7 << 40
COMMAND, BUS_MASTER = 4, 4
DMA_SOURCE, DMA_DESTINATION, DMA_COUNT, DMA_COMMAND = 0x80, 0x88, 0x90, 0x98
START, TO_MEMORY = 1, 2
OWN_MEMORY = 0x40000

PAGE, HALF, IOVA = 4096, 2048, 0x100000


def find_device() -> tuple[str, str]:
    """The address of the first educational device, and the name of its file."""
    for function in pathlib.Path("/sys/bus/pci/devices").glob("*"):
        if (function / "vendor").read_text().strip() == "0x1234" and (function / "device").read_text().strip() == "0x11e8":
            return function.name, next((function / "vfio-dev").iterdir()).name
    sys.exit("no device: start me with `ioasis run --machine intel -- python3 examples/edu/edu.py`")


def call(fd: int, request: int, layout: str, *fields: int) -> tuple[int, ...]:
    """Makes an ioctl whose struct begins with its own size, and returns the struct's fields as they are then."""
    argument = bytearray(struct.pack(layout, struct.calcsize(layout), *fields))
    fcntl.ioctl(fd, request, argument)
    return struct.unpack(layout, argument)


def read(at: int, size: int) -> int:
    return int.from_bytes(os.pread(device, size, at), "little")


def write(at: int, size: int, value: int) -> None:
    os.pwrite(device, value.to_bytes(size, "little"), at)


def copy(source: int, destination: int, how: int) -> None:
    """It is over when the start bit is clear again."""
    write(BAR0 + DMA_SOURCE, 8, source)
    write(BAR0 + DMA_DESTINATION, 8, destination)
    write(BAR0 + DMA_COUNT, 8, HALF)
    write(BAR0 + DMA_COMMAND, 8, how)
    while read(BAR0 + DMA_COMMAND, 8) & START:
        pass


address, name = find_device()
print(f"{address} is {name}")
device = os.open(f"/dev/vfio/devices/{name}", os.O_RDWR)
iommu = os.open("/dev/iommu", os.O_RDWR)
page = mmap.mmap(-1, PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
text = b"through the IOMMU and back"
page[: len(text)] = text
page_address = ctypes.addressof(ctypes.c_char.from_buffer(page))

call(device, VFIO_DEVICE_BIND_IOMMUFD, "=IIiIQ", 0, iommu, 0, 0)
*_, ioas = call(iommu, IOMMU_IOAS_ALLOC, "=III", 0, 0)
call(iommu, IOMMU_IOAS_MAP, "=IIIIQQQ", FIXED_IOVA | WRITEABLE | READABLE, ioas, 0, page_address, PAGE, IOVA)
call(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, "=IIII", 0, ioas, 0)

write(CONFIG + COMMAND, 2, read(CONFIG + COMMAND, 2) | BUS_MASTER)
copy(IOVA, OWN_MEMORY, START)
copy(OWN_MEMORY, IOVA + HALF, START | TO_MEMORY)
print(f"in the second half of the page: {page[HALF : HALF + len(text)].decode()}")

call(device, VFIO_DEVICE_DETACH_IOMMUFD_PT, "=III", 0, 0)
call(iommu, IOMMU_IOAS_UNMAP, "=IIQQ", ioas, IOVA, PAGE)
call(iommu, IOMMU_DESTROY, "=II", ioas)
os.close(device)
os.close(iommu)

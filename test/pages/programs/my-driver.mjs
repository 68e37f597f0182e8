#!/usr/bin/env node
// What the pages call ./my-driver: it binds the last device that there is, and reads the first register of BAR 0.

import { openSync, readdirSync, readSync } from "node:fs";
import koffi from "koffi";

const VFIO_DEVICE_BIND_IOMMUFD = 0x3b76;
const ioctl = koffi.load("libc.so.6").func("int ioctl(int fd, unsigned long request, void *argument)");

const name = readdirSync("/dev/vfio/devices").sort().at(-1);
const device = openSync(`/dev/vfio/devices/${name}`, "r+");
const bind = new DataView(new ArrayBuffer(24));
bind.setUint32(0, 24, true);
bind.setUint32(8, openSync("/dev/iommu", "r+"), true);
if (ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, bind.buffer) !== 0) throw new Error(`bind: errno ${koffi.errno()}`);
const register = Buffer.alloc(4);
readSync(device, register, 0, 4, 0);
console.log(`${name}: 0x${register.readUInt32LE().toString(16)}`);

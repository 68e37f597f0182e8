// The engine as a library: what a program needs that makes a machine and opens its files itself, without a supervisor.

export type { Caller, CallerFile, Capability } from "./files/caller.js";
export type { OpenFile } from "./files/open-file.js";
export { type HwptPolicy, type HwptRequest, policies } from "./iommufd/hwpt-policy.js";
export { Client, type ClientMemory } from "./machine/client.js";
export { type MachineDescription, MachineDescriptionError, parseMachineDescription } from "./machine/description.js";
export { Machine } from "./machine/machine.js";
export { type AddressSpace, type Backing, Extents, PAGE_SIZE } from "./memory/address-space.js";
export { ArrayBacking, ArraySpace } from "./memory/array-space.js";
export type { Contiguity } from "./memory/frames.js";
export type { MemoryOwner } from "./memory/memlock.js";
export { amdv1, amdv1Mock } from "./pagetable/formats/amdv1.js";
export { type Armv8Options, armv8 } from "./pagetable/formats/armv8.js";
export { type RiscvOptions, riscv } from "./pagetable/formats/riscv.js";
export { s390 } from "./pagetable/formats/s390.js";
export { vtdSecondStage, vtdSecondStageForceWriteable } from "./pagetable/formats/vtd-second-stage.js";
export { x86_64 } from "./pagetable/formats/x86-64.js";
export { type Leaf, PageTable, type PageTableConfig, type WalkStep } from "./pagetable/pagetable.js";
export { TableMemory } from "./pagetable/table-memory.js";
export type { CallEvent } from "./trace/event.js";
export { printCall } from "./trace/print.js";
export { Errno, type ErrnoCode } from "./uapi/errno.js";
export * as uapi from "./uapi/iommufd.js";
export { decode, encode } from "./uapi/struct.js";
export * as vfio from "./uapi/vfio.js";

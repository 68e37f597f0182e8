// What accesses to registers are made on: the function's model, behind whatever there is between it and the bus.

export interface RegisterBus {
	/**
	 * Whether the function answers in a BAR now. Where memory decoding is off, or the function sleeps, it doesn't, and who accesses it gets
	 * SIGBUS, as with vfio-pci.
	 */
	isDecoding(bar: number): boolean;
	/** @param offset in the BAR, in bytes: a multiple of `size` @param size 1, 2, 4 or 8 */
	read(bar: number, offset: number, size: number): bigint;
	write(bar: number, offset: number, size: number, value: bigint): void;
	/** A store of 64 bytes at once, at a multiple of 64. @param from is the caller's again afterwards */
	writeBlock(bar: number, offset: number, from: Uint8Array): void;
	/**
	 * What reading 4 bytes would give, without what reading does, as far as the model can say that. Only used where accesses can't be
	 * heard of: see watched-registers.ts.
	 */
	peek(bar: number, offset: number): bigint;
}

/** Reads some bytes, in the pieces that a bus takes them in: each as long as its alignment allows. */
export function readBus(bus: RegisterBus, bar: number, offset: number, size: number): bigint {
	if (offset % size === 0) return bus.read(bar, offset, size);
	let value = 0n;
	for (let at = 0; at < size; ) {
		const piece = pieceAt(offset + at, size - at);
		value |= bus.read(bar, offset + at, piece) << BigInt(8 * at);
		at += piece;
	}
	return value;
}

export function writeBus(bus: RegisterBus, bar: number, offset: number, size: number, value: bigint): void {
	if (offset % size === 0) {
		bus.write(bar, offset, size, value);
		return;
	}
	for (let at = 0; at < size; ) {
		const piece = pieceAt(offset + at, size - at);
		bus.write(bar, offset + at, piece, BigInt.asUintN(8 * piece, value >> BigInt(8 * at)));
		at += piece;
	}
}

function pieceAt(offset: number, most: number): number {
	let size = 8;
	while (size > most || offset % size !== 0) size /= 2;
	return size;
}

// One channel of Intel's QuickData DMA engine ("I/OAT", CBDMA), version 3.3, as Xeon processors have it.
// Intel Xeon Processor E7 v2 Product Families Datasheet, Volume 2, 14.5 "Intel QuickData DMA registers"; the descriptors are those
// of version 3. Copies, block fills and null descriptors; what is left out stands in docs/ioat-dsa.md.
//
// Software gives a chain of descriptors in memory, CHAINADDR, and says how many of them are valid, DMACOUNT.

import * as v from "valibot";
import { allOnes, type Endpoint, type EndpointPort } from "./endpoint.js";
import type { DeviceModel, FunctionIdentity } from "./model.js";
import { integer } from "./options.js";
import { PlainRegister, type Register, RegisterMap, readOnly } from "./register-map.js";

/** In BAR 0, of the whole function. 14.5.1 to 14.5.11 */
export const IoatRegister = {
	CHANCNT: 0x00,
	XFERCAP: 0x01,
	GENCTRL: 0x02,
	INTRCTRL: 0x03,
	ATTNSTATUS: 0x04,
	CBVER: 0x08,
	INTRDELAY: 0x0c,
	CS_STATUS: 0x0e,
	DMACAPABILITY: 0x10,
	CBPRIO: 0x40,
} as const;

/** In BAR 0, of the channel. 14.5.12 and following */
export const ChannelRegister = {
	CHANCTRL: 0x80,
	DMA_COMP: 0x82,
	CHANCMD: 0x84,
	DMACOUNT: 0x86,
	CHANSTS: 0x88,
	CHAINADDR: 0x90,
	CHANCMP: 0x98,
	CDAR: 0xa0,
	CHANERR: 0xa8,
	CHANERRMSK: 0xac,
	DCACTRL: 0xb0,
} as const;

export const Intrctrl = { MASTER_INT_EN: 1n, INT_STATUS: 2n, INT: 4n, MSIX_VECTOR_CONTROL: 8n } as const;

export const Chanctrl = {
	/** Reads as 1 when an interrupt was sent; writing 1 has the next one sent. */
	INTP_DIS: 1n << 0n,
	ERR_CMP_EN: 1n << 2n,
	ANY_ERR_ABORT_EN: 1n << 3n,
	ERR_INT_EN: 1n << 4n,
	IN_USE: 1n << 8n,
} as const;
const CHANCTRL_KEPT = 0x023cn;

export const Chancmd = { SUSPEND: 0x04n, RESET: 0x20n } as const;

/** DMA_TRANS_STATE in CHANSTS. */
export const State = { ACTIVE: 0n, DONE: 1n, SUSPENDED: 2n, HALTED: 3n } as const;

/** Bits of CHANERR. */
export const Chanerr = {
	SOURCE_ADDRESS: 1n << 0n,
	DESTINATION_ADDRESS: 1n << 1n,
	NEXT_DESCRIPTOR_ADDRESS: 1n << 2n,
	DESCRIPTOR: 1n << 3n,
	CHAIN_ADDRESS: 1n << 4n,
	CHANCMD: 1n << 5n,
	DESCRIPTOR_CONTROL: 1n << 10n,
	DESCRIPTOR_LENGTH: 1n << 11n,
	COMPLETION_ADDRESS: 1n << 12n,
} as const;

const DESCRIPTOR_SIZE = 64;
/** Of a descriptor: SIZE, CONTROL, SOURCE or the pattern of a fill, DESTINATION, NEXT. */
const Field = { SIZE: 0, CONTROL: 4, SOURCE: 8, DESTINATION: 16, NEXT: 24 } as const;
const Control = { INT_EN: 1 << 0, COMPL_WRITE: 1 << 3, NULL: 1 << 5, OPERATION_SHIFT: 24 } as const;
const CONTROL_RESERVED = 0x00ff_f800;
export const Operation = { COPY: 0x00, FILL: 0x01 } as const;

const VERSION = 0x33n;
/** Block fill; neither XOR nor CRC, nor marker skipping. */
const CAPABILITY = 0x40n;
const ALIGNED = 0x3fn;

/** Descriptors and bytes that are done in one piece of work: well below a millisecond. */
const DESCRIPTORS = 32;
const BYTES = 1024 * 1024;
const PIECE = 64 * 1024;

/** What the descriptor that is being worked on is about. */
interface Transfer {
	readonly control: number;
	readonly operation: number;
	readonly size: number;
	readonly source: bigint;
	readonly destination: bigint;
	readonly next: bigint;
	done: number;
}

export class Ioat implements Endpoint {
	readonly #port: EndpointPort;
	readonly #registers = new RegisterMap();
	readonly #largest: number;
	readonly #piece = new Uint8Array(PIECE);
	readonly #descriptor = new DataView(new ArrayBuffer(DESCRIPTOR_SIZE));
	#intrctrl = 0n;
	#attention = 0n;
	/** Of the pin, without MSI-X. */
	#isAsserted = false;
	#chanctrl = 0n;
	#isInterruptDisabled = false;
	#isInUse = false;
	#state: bigint = State.HALTED;
	#error = 0n;
	readonly #errorMask = new PlainRegister(4);
	readonly #completion = new PlainRegister(8);
	readonly #others: { readonly register: PlainRegister; readonly initial: bigint }[] = [];
	/** CHAINADDR. */
	#chain = 0n;
	/** How many descriptors are valid, and how many are done, since CHAINADDR was written. */
	#count = 0;
	#processed = 0;
	/** The descriptor that comes next, and the one that was done last. */
	#current = 0n;
	#completed = 0n;
	#transfer: Transfer | undefined;

	/** @param transferCapability XFERCAP: a descriptor moves up to 2 to the power of it bytes */
	constructor(port: EndpointPort, transferCapability: number) {
		this.#port = port;
		this.#largest = 2 ** transferCapability;
		const add = (offset: number, register: Register) => this.#registers.add(offset, register);
		const plain = (offset: number, size: Register["size"], initial = 0n) => {
			this.#others.push({ register: this.#registers.add(offset, new PlainRegister(size, { initial })), initial });
		};
		add(
			IoatRegister.CHANCNT,
			readOnly(1, () => 1n),
		);
		add(
			IoatRegister.XFERCAP,
			readOnly(1, () => BigInt(transferCapability)),
		);
		plain(IoatRegister.GENCTRL, 1);
		add(IoatRegister.INTRCTRL, { size: 1, read: () => this.#readIntrctrl(), write: (bits) => this.#setIntrctrl(bits) });
		add(IoatRegister.ATTNSTATUS, { size: 4, read: () => this.#readAttention(), write: () => {} });
		add(
			IoatRegister.CBVER,
			readOnly(1, () => VERSION),
		);
		plain(IoatRegister.INTRDELAY, 2);
		add(
			IoatRegister.DMACAPABILITY,
			readOnly(4, () => CAPABILITY),
		);
		plain(IoatRegister.CBPRIO, 1);
		add(ChannelRegister.CHANCTRL, {
			size: 2,
			read: () => this.#readChanctrl(),
			write: (bits, mask) => this.#setChanctrl(bits, mask),
		});
		add(
			ChannelRegister.DMA_COMP,
			readOnly(2, () => 2n),
		);
		add(ChannelRegister.CHANCMD, { size: 1, read: () => 0n, write: (bits) => this.#command(bits) });
		add(ChannelRegister.DMACOUNT, {
			size: 2,
			read: () => BigInt(this.#count),
			write: (bits, mask) => this.#setCount(Number((BigInt(this.#count) & ~mask) | bits)),
		});
		add(
			ChannelRegister.CHANSTS,
			readOnly(8, () => this.#completed | this.#state),
		);
		add(ChannelRegister.CHAINADDR, {
			size: 8,
			read: () => this.#chain,
			write: (bits, mask) => this.#setChain((this.#chain & ~mask) | bits),
		});
		add(ChannelRegister.CHANCMP, this.#completion);
		add(
			ChannelRegister.CDAR,
			readOnly(8, () => this.#current),
		);
		add(ChannelRegister.CHANERR, { size: 4, read: () => this.#error, write: (bits) => this.#clearError(bits) });
		add(ChannelRegister.CHANERRMSK, this.#errorMask);
		plain(ChannelRegister.DCACTRL, 4);
	}

	readRegister(bar: number, offset: number, size: number): bigint {
		return bar === 0 ? this.#registers.read(offset, size) : allOnes(size);
	}

	writeRegister(bar: number, offset: number, size: number, value: bigint): void {
		if (bar === 0) this.#registers.write(offset, size, value);
	}

	work(): boolean {
		let bytes = BYTES;
		for (let left = DESCRIPTORS; left > 0 && bytes > 0; left--) {
			if (this.#state !== State.ACTIVE) return false;
			this.#transfer ??= this.#fetch();
			if (this.#transfer === undefined) return false;
			bytes = this.#move(this.#transfer, bytes);
		}
		return this.#state === State.ACTIVE;
	}

	reset(): void {
		this.#intrctrl = 0n;
		this.#isInUse = false;
		this.#errorMask.value = 0n;
		this.#completion.value = 0n;
		for (const { register, initial } of this.#others) register.value = initial;
		this.#resetChannel();
		this.#error = 0n;
	}

	// --- Interrupts: 14.5.4 INTRCTRL, 14.5.5 ATTNSTATUS ---

	/** Reading it switches interrupts off, until they are switched on again. */
	#readIntrctrl(): bigint {
		const isPending = this.#attention !== 0n;
		const isSent = isPending && (this.#intrctrl & Intrctrl.MASTER_INT_EN) !== 0n;
		const value = this.#intrctrl | (isPending ? Intrctrl.INT_STATUS : 0n) | (isSent ? Intrctrl.INT : 0n);
		if (!this.#isMsix) this.#intrctrl &= ~Intrctrl.MASTER_INT_EN;
		this.#updatePin();
		return value;
	}

	#setIntrctrl(bits: bigint): void {
		this.#intrctrl = bits & (Intrctrl.MASTER_INT_EN | Intrctrl.MSIX_VECTOR_CONTROL);
		this.#updatePin();
	}

	#readAttention(): bigint {
		const value = this.#attention;
		this.#attention = 0n;
		this.#updatePin();
		return value;
	}

	get #isMsix(): boolean {
		return (this.#intrctrl & Intrctrl.MSIX_VECTOR_CONTROL) !== 0n;
	}

	/** Once, until CHANCTRL has it armed again. */
	#interrupt(): void {
		if (this.#isInterruptDisabled) return;
		this.#isInterruptDisabled = true;
		if (this.#isMsix) {
			this.#port.interrupt(0);
			return;
		}
		this.#attention = 1n;
		this.#updatePin();
	}

	#updatePin(): void {
		const isOn = !this.#isMsix && (this.#intrctrl & Intrctrl.MASTER_INT_EN) !== 0n;
		const isAsserted = isOn && this.#attention !== 0n;
		if (isAsserted === this.#isAsserted) return;
		this.#isAsserted = isAsserted;
		if (isAsserted) this.#port.interrupt(0);
		else this.#port.deassert();
	}

	// --- The channel's registers ---

	/** The first to read it after it was free has the channel. */
	#readChanctrl(): bigint {
		const value =
			this.#chanctrl | (this.#isInterruptDisabled ? Chanctrl.INTP_DIS : 0n) | (this.#isInUse ? Chanctrl.IN_USE : 0n);
		this.#isInUse = true;
		return value;
	}

	#setChanctrl(bits: bigint, mask: bigint): void {
		this.#chanctrl = (this.#chanctrl & ~mask) | (bits & CHANCTRL_KEPT);
		if (bits & Chanctrl.INTP_DIS) this.#isInterruptDisabled = false;
		if (mask & Chanctrl.IN_USE && (bits & Chanctrl.IN_USE) === 0n) this.#isInUse = false;
	}

	#command(bits: bigint): void {
		if (bits === Chancmd.RESET) this.#resetChannel();
		else if (bits === Chancmd.SUSPEND) {
			// A channel that has been stopped by an error stays so.
			if (this.#state !== State.HALTED) this.#state = State.SUSPENDED;
		} else if (bits !== 0n) this.#fail(Chanerr.CHANCMD);
	}

	/** What was in progress ends without a trace. CHANERR is software's to clear. */
	#resetChannel(): void {
		this.#state = State.HALTED;
		this.#chanctrl = 0n;
		this.#isInterruptDisabled = false;
		this.#chain = 0n;
		this.#count = 0;
		this.#processed = 0;
		this.#current = 0n;
		this.#completed = 0n;
		this.#transfer = undefined;
		this.#attention = 0n;
		this.#updatePin();
	}

	#setChain(address: bigint): void {
		if (this.#state === State.ACTIVE) return;
		this.#chain = address;
		this.#current = address;
		this.#count = 0;
		this.#processed = 0;
		this.#transfer = undefined;
	}

	/** The number of valid descriptors in all: as long as fewer are done, the channel goes on. */
	#setCount(count: number): void {
		this.#count = count;
		if (count === this.#processed || (this.#error & ~this.#errorMask.value) !== 0n) return;
		if (this.#processed === 0 && this.#chain & ALIGNED) this.#fail(Chanerr.CHAIN_ADDRESS);
		else this.#state = State.ACTIVE;
	}

	#clearError(bits: bigint): void {
		this.#error &= ~bits;
	}

	// --- Descriptors ---

	#fetch(): Transfer | undefined {
		const view = this.#descriptor;
		const isFirst = this.#processed === 0;
		if (this.#current & ALIGNED) return this.#fail(Chanerr.DESCRIPTOR);
		if (this.#port.readMemory(this.#current, new Uint8Array(view.buffer)) !== undefined)
			return this.#fail(isFirst ? Chanerr.CHAIN_ADDRESS : Chanerr.NEXT_DESCRIPTOR_ADDRESS);
		const control = view.getUint32(Field.CONTROL, true);
		const operation = control >>> Control.OPERATION_SHIFT;
		const size = view.getUint32(Field.SIZE, true);
		const isKnown = operation === Operation.COPY || operation === Operation.FILL;
		if (!isKnown || control & CONTROL_RESERVED) return this.#fail(Chanerr.DESCRIPTOR_CONTROL);
		const isNull = operation === Operation.COPY && (control & Control.NULL) !== 0;
		if (!isNull && (size === 0 || size > this.#largest)) return this.#fail(Chanerr.DESCRIPTOR_LENGTH);
		return {
			control,
			operation,
			size: isNull ? 0 : size,
			source: view.getBigUint64(Field.SOURCE, true),
			destination: view.getBigUint64(Field.DESTINATION, true),
			next: view.getBigUint64(Field.NEXT, true),
			done: 0,
		};
	}

	/** @param budget bytes that may be moved @returns what is left of it */
	#move(transfer: Transfer, budget: number): number {
		let left = budget;
		while (transfer.done < transfer.size && left > 0) {
			const piece = this.#piece.subarray(0, Math.min(PIECE, left, transfer.size - transfer.done));
			const error = this.#movePiece(transfer, piece);
			if (error !== undefined) {
				this.#fail(error);
				return left;
			}
			transfer.done += piece.length;
			left -= piece.length;
		}
		if (transfer.done === transfer.size) this.#complete(transfer);
		return left;
	}

	/** @returns what goes wrong */
	#movePiece({ operation, source, destination, done }: Transfer, piece: Uint8Array): bigint | undefined {
		if (operation === Operation.FILL) repeat(source, done, piece);
		else if (this.#port.readMemory(wrapped(source, done), piece) !== undefined) return Chanerr.SOURCE_ADDRESS;
		if (this.#port.writeMemory(wrapped(destination, done), piece) !== undefined) return Chanerr.DESTINATION_ADDRESS;
		return undefined;
	}

	#complete({ control, next }: Transfer): void {
		this.#transfer = undefined;
		this.#completed = this.#current & ~ALIGNED;
		this.#current = next;
		this.#processed = (this.#processed + 1) & 0xffff;
		if (this.#processed === this.#count) this.#state = State.DONE;
		if (control & Control.COMPL_WRITE && !this.#writeCompletion()) {
			this.#fail(Chanerr.COMPLETION_ADDRESS);
			return;
		}
		if (control & Control.INT_EN) this.#interrupt();
	}

	/** CHANSTS goes to where CHANCMP says. */
	#writeCompletion(): boolean {
		const status = new Uint8Array(8);
		new DataView(status.buffer).setBigUint64(0, this.#completed | this.#state, true);
		const address = this.#completion.value;
		return (address & 7n) === 0n && this.#port.writeMemory(address, status) === undefined;
	}

	/** An error of the channel's own always halts it, unless it is masked; software is told as CHANCTRL says. */
	#fail(error: bigint): undefined {
		this.#error |= error;
		this.#transfer = undefined;
		this.#state = State.HALTED;
		if (error & this.#errorMask.value) return;
		if (this.#chanctrl & Chanctrl.ERR_CMP_EN && error !== Chanerr.COMPLETION_ADDRESS) this.#writeCompletion();
		if (this.#chanctrl & Chanctrl.ERR_INT_EN) this.#interrupt();
	}
}

/** @param offset how many bytes of the repeated pattern come before */
function repeat(pattern: bigint, offset: number, into: Uint8Array): void {
	const shift = BigInt(8 * (offset % 8));
	const bytes = new Uint8Array(8);
	new DataView(bytes.buffer).setBigUint64(0, (pattern >> shift) | (pattern << (64n - shift)), true);
	into.set(bytes.subarray(0, into.length));
	for (let filled = 8; filled < into.length; filled *= 2) into.copyWithin(filled, 0, filled);
}

function wrapped(address: bigint, offset: number): bigint {
	return BigInt.asUintN(64, address + BigInt(offset));
}

const options = v.strictObject({
	/** XFERCAP: how much one descriptor moves at most, as a power of two of bytes. */
	xfercap: v.optional(integer(12, 20), 20),
});

type Options = v.InferOutput<typeof options>;

const IDENTITY: FunctionIdentity = {
	vendor: 0x8086,
	device: 0x2021,
	subsystemVendor: 0x8086,
	subsystem: 0x2021,
	revision: 4,
	class: 0x088000,
	bars: [{ index: 0, size: 16 * 1024, space: "memory64" }],
	interruptPin: 1,
	msix: { vectors: 1, bar: 0, tableOffset: 0x2000, pendingOffset: 0x3000 },
	express: true,
};

export const ioat: DeviceModel<Options> = {
	name: "ioat",
	summary: "Intel QuickData DMA channel (I/OAT 3.3); xfercap=12 to 20 for how much a descriptor moves",
	options,
	identity: () => IDENTITY,
	create: (port, { xfercap }) => new Ioat(port, xfercap),
};

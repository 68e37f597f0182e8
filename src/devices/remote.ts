// Functions that aren't a model's of this process, but somebody else's: a server in another process. To the machine they are like others. But
// what a model of ours finds out when it needs it, by its port, they have to be told: what the machine's side of the function is, and which
// memory it may reach.

/** What changes in the memory that a function may reach. Ranges don't overlap, and go as they came. */
export interface MemoryChange {
	readonly kind: "map" | "unmap";
	/** In bytes, as the size. */
	readonly iova: bigint;
	readonly size: bigint;
	readonly isReadable: boolean;
	readonly isWriteable: boolean;
	/**
	 * A file that it is in, and where, in bytes: whoever has it reaches the memory without us. The fd is the caller's. Without a file the
	 * bytes are asked for.
	 */
	readonly file?: { readonly fd: number; readonly offset: number } | undefined;
}

/** A function of somebody else's, as its thread has it. */
export interface RemoteFunction {
	/** Memory decoding and bus mastering are as the command register says. */
	commandChanged(command: number): void;
	/** @param index the kind of interrupts that is on, VFIO_PCI_*_IRQ_INDEX; undefined for none */
	interruptsChanged(index: number | undefined): void;
	/** When it returns, nobody reaches memory any more that is gone. */
	memoryChanged(change: MemoryChange): void;
}

/** What it takes beside a model that whoever has the function is asked in one thread what it is, and in another to do its work. */
export interface RemoteModel<Options> {
	/** What has been found, for `create` in the other thread: plain data. It is that thread's then. */
	handOver(options: Options): unknown;
	/** Nobody will ask. */
	letGo(options: Options): void;
}

// A kind of PCI function that a machine can have: how it is described, and how one is made.

import type { GenericSchema } from "valibot";
import type { BlockStore } from "./block-store.js";
import type { Endpoint, EndpointPort, PageBehaviour } from "./endpoint.js";
import type { RemoteModel } from "./remote.js";
import type { WireEnd } from "./wire.js";

/** What a function shows before anybody talks to it: the fields of a machine file, with the same defaults. docs/machines.md */
export interface FunctionIdentity {
	readonly vendor: number;
	readonly device: number;
	readonly subsystemVendor?: number;
	readonly subsystem?: number;
	readonly revision?: number;
	/** Base class, subclass, programming interface: 24 bits. */
	readonly class: number;
	readonly bars: readonly {
		readonly index: number;
		/** In bytes, a power of two. */
		readonly size: number;
		readonly space?: "memory32" | "memory64" | "io";
		readonly prefetchable?: boolean;
	}[];
	/** 1 to 4 for INTA to INTD, 0 for none. */
	readonly interruptPin?: number;
	readonly msiVectors?: 0 | 1 | 2 | 4 | 8 | 16 | 32;
	readonly msix?: {
		readonly vectors: number;
		readonly bar: number;
		readonly tableOffset: number;
		readonly pendingOffset: number;
	};
	readonly express?: boolean;
}

/** What a model needs of the world outside of the machine. All of it throws Error with a message for whoever chose the options. */
export interface DeviceHost {
	/** Where in the machine the function is: "0000:01:00.0". */
	readonly address: string;
	/**
	 * A disk image.
	 * @param path of a raw file
	 */
	openBlocks(path: string, isReadOnly: boolean): BlockStore;
	/** One end of a wire between two functions of the machine: who names the same wire has the other. At most two do. */
	wire(name: string): WireEnd;
	/** Nanoseconds since the machine was switched on. */
	now(): bigint;
	/** What RemoteModel.handOver() gave. */
	readonly handedOver?: unknown;
	/** It answers nothing any more, and why: said once to whoever runs the machine. */
	gone(reason: string): void;
}

/** @template Options what is chosen for one function, as the schema gives it */
export interface DeviceModel<Options = unknown> {
	/** For machine files and the command line: "nvme". */
	readonly name: string;
	/** One line for the help. */
	readonly summary: string;
	/** Of what can be chosen, each with a default. From the command line all values are text. */
	readonly options: GenericSchema<unknown, Options>;
	/** @throws Error for a function that can't be had */
	identity(options: Options): FunctionIdentity;
	/** Only of functions that are somebody else's. */
	readonly remote?: RemoteModel<Options>;
	/** The names of the wires that it will ask for: functions that share one run side by side. */
	wires?(options: Options): readonly string[];
	/**
	 * Looks whether its files can be had, before anybody opens the function.
	 * @throws Error that names them
	 */
	check?(options: Options, host: DeviceHost): void;
	/** Where mapped pages aren't accessed exactly. */
	pages?(options: Options): readonly PageBehaviour[];
	/** @throws Error when its files can't be had: the message names them */
	create(port: EndpointPort, options: Options, host: DeviceHost): Endpoint;
}

// --device vfio-user,socket=PATH: a function that a server in another process is. What it shows the server is asked when the machine is made;
// the same connection then goes to the function's thread, as many servers have one client and no more.

import * as v from "valibot";
import type { DeviceModel } from "../../devices/model.js";
import { integer } from "../../devices/options.js";
import { SystemError } from "../linux/libc.js";
import { type HandedOver, VfioUserClient } from "./client.js";
import { VfioUserDevice } from "./device.js";
import { identityOf } from "./identity.js";

/** Milliseconds that a server has for an answer. */
const PATIENCE = 5000;
const MOST_PATIENCE = 600_000;

const options = v.strictObject({
	socket: v.string("a socket's path is expected here"),
	/** In milliseconds. */
	timeout: v.optional(integer(1, MOST_PATIENCE), PATIENCE),
});
type Options = v.InferOutput<typeof options>;

/** Those that have been asked, by the servers' paths. */
const clients = new Map<string, VfioUserClient>();

export const vfioUser: DeviceModel<Options> = {
	name: "vfio-user",
	summary: "a function that a vfio-user server in another process is",
	options,
	identity: (chosen) => identityOf(clientOf(chosen)),
	remote: {
		handOver(chosen) {
			const handedOver = clientOf(chosen).handOver();
			clients.delete(chosen.socket);
			return handedOver;
		},
		letGo({ socket }) {
			clients.get(socket)?.close();
			clients.delete(socket);
		},
	},
	create(port, { timeout }, { handedOver, gone }) {
		return new VfioUserDevice(port, VfioUserClient.takeOver(handedOver as HandedOver, timeout), gone);
	},
};

function clientOf({ socket, timeout }: Options): VfioUserClient {
	const known = clients.get(socket);
	if (known !== undefined) return known;
	const client = connect(socket, timeout);
	clients.set(socket, client);
	return client;
}

function connect(socket: string, timeout: number): VfioUserClient {
	try {
		return VfioUserClient.connect(socket, timeout);
	} catch (error) {
		if (!(error instanceof SystemError)) throw new Error(`${socket}: ${(error as Error).message}`);
		throw new Error(`no server can be had at ${socket}: ${error.message}`);
	}
}

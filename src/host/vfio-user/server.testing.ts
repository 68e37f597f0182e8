// The server of examples/vfio-user/copier.c, for tests.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { buildClient } from "../testing/c-clients.testing.js";

let program: string | undefined;

export interface TestServer {
	readonly path: string;
	readonly process: ChildProcess;
}

/** Starts one, until the end of the test. @param words what it is to do: copier.c says which */
export async function startServer(...words: readonly string[]): Promise<TestServer> {
	program ??= buildClient("../../examples/vfio-user/copier.c");
	const directory = mkdtempSync(join(tmpdir(), "vfio-user-"));
	const path = join(directory, "socket");
	const server = spawn(program, [path, ...words], { stdio: ["ignore", "pipe", "inherit"] });
	onTestFinished(() => {
		server.kill("SIGKILL");
		rmSync(directory, { recursive: true, force: true });
	});
	await once(server.stdout!, "data");
	return { path, process: server };
}

/** The device's registers, in BAR 0. */
export const Copier = {
	IDENTITY: 0x00,
	SOURCE: 0x08,
	DESTINATION: 0x10,
	LENGTH: 0x18,
	COMMAND: 0x20,
	STATUS: 0x28,
	SCRATCH: 0x30,
	/** Maps that have come with a file, and maps that there are. */
	FILES: 0x38,
	MAPS: 0x40,
	/** REGION_WRITE_MULTI that have come. */
	MULTIS: 0x48,
	RESETS: 0x50,
	/** The command register of its configuration space. */
	CONFIG_COMMAND: 0x58,
} as const;

export const CopierCommand = { START: 1, INTERRUPT: 2, READ_BY_MESSAGE: 4, WRITE_BY_MESSAGE: 8 } as const;

// scripts/rooms.mjs must see what it is there to see: each test gives it a small house with one fault.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";

const SCRIPT = fileURLToPath(new URL("../scripts/rooms.mjs", import.meta.url));
let house: string;

beforeEach(() => {
	house = mkdtempSync(join(tmpdir(), "ioasis-rooms-"));
});

afterEach(() => rmSync(house, { recursive: true }));

/** What the check says about a house of these files: each offence as "FILE:LINE: ...". */
function offences(files: Record<string, string>): string[] {
	for (const [file, text] of Object.entries(files)) {
		mkdirSync(dirname(join(house, file)), { recursive: true });
		writeFileSync(join(house, file), text);
	}
	const check = spawnSync(process.execPath, [SCRIPT, house], { cwd: house, encoding: "utf8" });
	const lines = check.stdout.trim().split("\n").slice(0, -1);
	expect(check.stderr).toBe("");
	expect(check.status).toBe(lines.length === 0 ? 0 : 1);
	return lines;
}

test("imports from the same room and from rooms below are allowed", () => {
	const files = {
		"cli/run.ts": 'import { launch } from "../host/launch.js";\nimport { Ioas } from "../iommufd/ioas.js";\n',
		"iommufd/ioas.ts": 'import { Errno } from "../uapi/errno.js";\nimport { Pages } from "./pages.js";\n',
		"iommu/drivers/amd.ts":
			'import type { Domain } from "../core/domain.js";\nimport { Format } from "../../pagetable/format.js";\n',
		"index.ts": 'export { Machine } from "./machine/machine.js";\n',
	};
	expect(offences(files)).toEqual([]);
});

test("an import from a room above is an offence, in every form that an import can have", () => {
	const forms = [
		'import { Ioas } from "../iommufd/ioas.js";',
		'import type { Ioas } from "../iommufd/ioas.js";',
		'import {\n\tIoas,\n\tPages,\n} from "../iommufd/ioas.js";',
		'export * from "../iommufd/ioas.js";',
		'import "../iommufd/ioas.js";',
		'const { Ioas } = await import("../iommufd/ioas.js");',
		'type Ioas = import("../iommufd/ioas.js").Ioas;',
		"import { Ioas } from '../iommufd/ioas.js';",
	];
	const files = forms.map((form, index) => [`memory/form-${index}.ts`, `\n${form}\n`]);
	const message = 'imports "../iommufd/ioas.js": memory may import only itself and faults, uapi';
	const expected = forms.map((form, index) => `memory/form-${index}.ts:${form.split("\n").length + 1}: ${message}`);
	expect(offences(Object.fromEntries(files))).toEqual(expected);
});

test("the rooms within host have a direction, too, but not for tests", () => {
	const found = offences({
		"host/memory/vma.ts": 'import type { Process } from "../processes/process.js";\n',
		"host/memory/vma.test.ts": 'import { asClient } from "../testing/harness.testing.js";\n',
		"host/processes/process.ts": 'import { Vmas } from "../memory/vma.js";\nimport { close } from "./close.js";\n',
		"host/supervisor.ts": 'import { Paths } from "./paths/paths.js";\nimport { box } from "./attic/box.js";\n',
	});
	expect(found.map((line) => line.split(":")[0])).toEqual(["host/memory/vma.ts", "host/supervisor.ts"]);
});

test("files that stand beside the rooms of a room have a floor, too", () => {
	const found = offences({
		"iommufd/io-pagetable/pages.ts": 'import { Context } from "../context.js";\n',
		"iommufd/ioas.ts": 'import { Pages } from "./io-pagetable/pages.js";\nimport { Context } from "./context.js";\n',
		"iommufd/context.ts": 'import type { ops } from "./selftest/ops.js";\n',
		"iommufd/selftest/ops.ts": 'import { Ioas } from "../ioas.js";\nimport { ioctl } from "../ioctls.js";\n',
		"iommufd/client.testing.ts": 'import { ioctl } from "./ioctls.js";\n',
	});
	expect(found).toEqual([
		'iommufd/context.ts:1: imports "./selftest/ops.js": what is beside the rooms may import only itself and io-pagetable',
		'iommufd/io-pagetable/pages.ts:1: imports "../context.js": io-pagetable may import only itself and nothing else',
		'iommufd/selftest/ops.ts:2: imports "../ioctls.js": selftest may import only itself and what is beside the rooms, io-pagetable',
	]);
});

test("rooms on one floor don't use each other", () => {
	const found = offences({
		"iommufd/device.ts": 'import { Edu } from "../devices/edu.js";\n',
		"devices/edu.ts": 'import type { Ioas } from "../iommufd/ioas.js";\n',
	});
	expect(found).toHaveLength(2);
});

test("the direction holds for tests too", () => {
	expect(offences({ "uapi/errno.test.ts": 'import { hex } from "../trace/print.js";\n' })).toHaveLength(1);
});

test("Node's modules belong into cli, host and tests, under either of their names", () => {
	const found = offences({
		"cli/main.ts": 'import { readFileSync } from "node:fs";\n',
		"host/files.ts": 'import { readFileSync } from "node:fs";\n',
		"memory/runs.test.ts": 'import { readFileSync } from "node:fs";\n',
		"machine/schema.ts": 'import { readFileSync } from "node:fs";\n',
		"memory/runs.ts": 'import { readFileSync } from "fs/promises";\n',
	});
	expect(found).toEqual([
		'machine/schema.ts:1: imports "node:fs": only cli and host, and tests, may import Node\'s modules',
		'memory/runs.ts:1: imports "fs/promises": only cli and host, and tests, may import Node\'s modules',
	]);
});

test("native calls belong into host", () => {
	const found = offences({
		"host/libc.ts": 'import koffi from "koffi";\n',
		"cli/main.ts": 'import koffi from "koffi";\n',
	});
	expect(found).toEqual(['cli/main.ts:1: imports "koffi": only host may import koffi']);
});

test("values that are imported in a circle are an offence, each circle with its files", () => {
	const found = offences({
		"memory/frames.ts": 'import { Pins } from "./pins.js";\nimport { Runs } from "./runs.js";\n',
		"memory/pins.ts": 'import {\n\tcount,\n\ttype Runs,\n} from "./runs.js";\n',
		"memory/runs.ts": 'export { Frames } from "./frames.js";\nimport { Errno } from "../uapi/errno.js";\n',
		"uapi/errno.ts": 'import "./names.js";\n',
		"uapi/names.ts": 'import { Errno } from "./errno.js";\n',
	});
	expect(found).toEqual([
		"circle: memory/frames.ts imports memory/runs.ts imports memory/frames.ts: none can be loaded before the others",
		"circle: uapi/errno.ts imports uapi/names.ts imports uapi/errno.ts: none can be loaded before the others",
	]);
});

test("a circle that is long is told whole", () => {
	const ring = ["a", "b", "c", "d"];
	const files = ring.map((name, i) => [`memory/${name}.ts`, `import { x } from "./${ring[(i + 1) % 4]}.js";\n`]);
	const way = [...ring, "a"].map((name) => `memory/${name}.ts`).join(" imports ");
	expect(offences(Object.fromEntries(files))).toEqual([`circle: ${way}: none can be loaded before the others`]);
});

test("types may know each other, and what is imported only when it is asked for is loaded later", () => {
	const files = {
		"files/caller.ts": 'import type { OpenFile } from "./open-file.js";\n',
		"files/open-file.ts": 'import type { Caller } from "./caller.js";\nexport type { Caller } from "./caller.js";\n',
		"cli/main.ts": 'const { run } = await import("./run.js");\n',
		"cli/run.ts": 'import { main } from "./main.js";\n',
		"memory/frames.ts": '// import { Runs } from "./runs.js";\n',
		"memory/runs.ts": 'import { Frames } from "./frames.js";\n',
	};
	expect(offences(files)).toEqual([]);
});

test("what is made for tests is imported by tests only", () => {
	const found = offences({
		"iommufd/client.testing.ts": 'import { guest } from "./guest.testing.js";\n',
		"iommufd/ioas.test.ts": 'import { client } from "./client.testing.js";\n',
		"iommufd/ioas.ts": 'import { client } from "./client.testing.js";\n',
	});
	expect(found).toEqual([
		'iommufd/ioas.ts:1: imports "./client.testing.js": only tests may import what is made for tests',
	]);
});

test("nobody leaves the house, or builds a room that is not in the plan", () => {
	const found = offences({
		"host/launch.ts": 'import { main } from "../../scripts/build.mjs";\n',
		"attic/box.ts": 'import { Errno } from "../uapi/errno.js";\n',
		"vfio/device.ts": 'import { box } from "../attic/box.js";\n',
	});
	expect(found.map((line) => line.split(":")[0])).toEqual(["attic/box.ts", "host/launch.ts", "vfio/device.ts"]);
});

test("what a comment says is not an import", () => {
	const text = '// import { Ioas } from "../iommufd/ioas.js";\n/*\n * from "../iommufd/ioas.js"\n */\n';
	expect(offences({ "memory/runs.ts": text })).toEqual([]);
});

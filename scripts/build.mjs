// Builds dist/: the command, its two workers, and the library; with --types also the library's declarations.
// Run as a program, never imported by the command: esbuild leaves a child process running.

import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, utimesSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build as bundle } from "esbuild";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, "dist");

/** Each is one file, because a thread that loads one starts sooner than one that loads ten. */
const ENTRIES = {
	main: "src/cli/main.ts",
	// Loaded by main when they are asked for.
	run: "src/cli/run.ts",
	matrix: "src/cli/matrix.ts",
	replay: "src/cli/replay.ts",
	walk: "src/cli/walk.ts",
	machines: "src/cli/machines.ts",
	doctor: "src/cli/doctor.ts",
	"launcher-thread": "src/host/launcher-thread.ts",
	"supervisor-worker": "src/cli/supervisor-worker.ts",
	"exit-now": "src/host/exit-now.ts",
};
const LOADED_BY_MAIN = ["./run.js", "./matrix.js", "./replay.js", "./walk.js", "./machines.js", "./doctor.js"];

async function build() {
	const started = new Date();
	const fresh = join(root, `dist.${process.pid}`);
	const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
	const settings = {
		absWorkingDir: root,
		bundle: true,
		platform: "node",
		format: "esm",
		target: "node20",
		external: ["koffi"],
		define: { VERSION: JSON.stringify(version) },
		outdir: fresh,
		logLevel: "warning",
	};
	// commander is CommonJS, and asks for require().
	const banner = { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' };
	try {
		await Promise.all([
			bundle({ ...settings, entryPoints: ENTRIES, external: ["koffi", ...LOADED_BY_MAIN], banner }),
			bundle({ ...settings, entryPoints: { index: "src/index.ts" }, sourcemap: true }),
		]);
		// Whoever starts meanwhile finds each file, the old one or the new. main.js comes last: it says how new all are.
		mkdirSync(dist, { recursive: true });
		const files = readdirSync(fresh).sort((one, other) => Number(one === "main.js") - Number(other === "main.js"));
		for (const file of files) {
			// What was changed while we built is newer.
			utimesSync(join(fresh, file), started, started);
			renameSync(join(fresh, file), join(dist, file));
		}
	} finally {
		rmSync(fresh, { recursive: true, force: true });
	}
}

function buildTypes() {
	const tsc = join(root, "node_modules", ".bin", "tsc");
	const { status } = spawnSync(tsc, ["--project", "tsconfig.types.json"], { cwd: root, stdio: "inherit" });
	if (status !== 0) throw new Error("the declarations could not be built");
}

await build();
if (process.argv.includes("--types")) buildTypes();

// Builds dist/: the command, its two workers, and the library; with --types also the library's declarations.

import { spawnSync } from "node:child_process";
import { readFileSync, renameSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build as bundle } from "esbuild";

const root = fileURLToPath(new URL("../", import.meta.url));

/** Replaces dist/ as a whole, so that a command that starts meanwhile finds the old one or the new one. */
async function build() {
	const fresh = `${root}dist.${process.pid}`;
	const old = `${fresh}.old`;
	const { version } = JSON.parse(readFileSync(`${root}package.json`, "utf8"));
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
	// Each worker in one file, because a thread that loads one starts sooner than one that loads ten.
	const workers = {
		"launcher-thread": "src/host/launcher-thread.ts",
		"supervisor-worker": "src/cli/supervisor-worker.ts",
	};
	await bundle({ ...settings, entryPoints: workers });
	await bundle({ ...settings, entryPoints: { index: "src/index.ts" }, sourcemap: true });
	// The command in parts: `run` doesn't load what only `doctor` needs. commander is CommonJS, and asks for require().
	const banner = { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' };
	await bundle({ ...settings, entryPoints: { main: "src/cli/main.ts" }, splitting: true, banner });
	rmSync(old, { recursive: true, force: true });
	try {
		renameSync(`${root}dist`, old);
	} catch {
		// There was none.
	}
	renameSync(fresh, `${root}dist`);
	rmSync(old, { recursive: true, force: true });
}

function buildTypes() {
	const options = ["--declaration", "--emitDeclarationOnly", "--rootDir", "src", "--outDir", "dist/types"];
	const { status } = spawnSync("npx", ["tsc", ...options], { cwd: root, stdio: "inherit" });
	if (status !== 0) throw new Error("the declarations could not be built");
}

await build();
if (process.argv.includes("--types")) buildTypes();

// Builds dist/: the command, its two workers, and the library; with --types also the library's declarations.
// Run as a program, never imported by the command: esbuild leaves a child process running.

import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build as bundle } from "esbuild";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, "dist");

/** Each is one file, because a thread that loads one starts sooner than one that loads ten. */
const ENTRIES = {
	main: "src/cli/main.ts",
	...commands(),
	"doctor-program": "src/cli/doctor-program.ts",
	"launcher-thread": "src/host/launch/launcher-thread.ts",
	"supervisor-worker": "src/cli/supervisor-worker.ts",
	"device-worker": "src/cli/device-worker.ts",
	"writer-worker": "src/cli/writer-worker.ts",
	"copy-thread": "src/host/launch/copy-thread.ts",
	"exit-now": "src/host/launch/exit-now.ts",
};

/** What main loads only when it is asked for: by name, the files of the commands. */
function commands() {
	const source = readFileSync(join(root, "src/cli/command-line.ts"), "utf8");
	const names = [...source.matchAll(/\bimport\("\.\/([\w-]+)\.js"\)/g)].map(([, name]) => name);
	return Object.fromEntries(names.map((name) => [name, `src/cli/${name}.ts`]));
}

/** What one entry imports of another only when it needs it stays a file of its own. */
const loadedWhenAskedFor = {
	name: "loaded when asked for",
	setup({ onResolve }) {
		onResolve({ filter: /^\./ }, ({ kind, path, resolveDir }) => {
			if (kind !== "dynamic-import") return undefined;
			const source = relative(root, join(resolveDir, path)).replace(/\.js$/, ".ts");
			const [entry] = Object.entries(ENTRIES).find(([, file]) => file === source) ?? [];
			return entry === undefined ? undefined : { path: `./${entry}.js`, external: true };
		});
	},
};

async function build() {
	const started = new Date();
	const fresh = join(root, `dist.${process.pid}`);
	const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
	const settings = {
		absWorkingDir: root,
		bundle: true,
		platform: "node",
		target: "node20",
		external: ["koffi"],
		define: { VERSION: JSON.stringify(version) },
		outdir: fresh,
		logLevel: "warning",
	};
	// Each start pays for Node's loader of ES modules in every thread, 5 ms each, so the command goes without.
	const command = {
		...settings,
		format: "cjs",
		supported: { "dynamic-import": false },
		define: { ...settings.define, "import.meta.url": "importMetaUrl" },
		banner: { js: 'const importMetaUrl = require("node:url").pathToFileURL(__filename).href;' },
		plugins: [loadedWhenAskedFor],
	};
	try {
		await Promise.all([
			bundle({ ...command, entryPoints: ENTRIES }),
			bundle({
				...settings,
				format: "esm",
				entryPoints: { index: "src/index.ts" },
				outExtension: { ".js": ".mjs" },
			}),
		]);
		writeFileSync(join(fresh, "package.json"), '{ "type": "commonjs" }\n');
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
	// They are of ES modules, and dist/package.json speaks for the command.
	writeFileSync(join(dist, "types", "package.json"), '{ "type": "module" }\n');
}

await build();
if (process.argv.includes("--types")) buildTypes();

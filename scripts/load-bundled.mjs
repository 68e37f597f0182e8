// TypeScript that plain Node is to run, as programs beside the tests are: bundled into .cache/, then loaded.

import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** Where everything is. */
export const checkout = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * @param source a file's URL
 * @param isFresh whether it was bundled just now: a program that starts itself again needs it once
 * @returns what it exports
 */
export async function loadBundled(source, { isFresh = false } = {}) {
	const file = fileURLToPath(source);
	const room = basename(dirname(relative(checkout, file)));
	const bundle = join(checkout, ".cache", room, `${basename(file, ".ts")}.mjs`);
	if (!isFresh) await bundleInto(bundle, file);
	return import(pathToFileURL(bundle).href);
}

async function bundleInto(bundle, file) {
	const { build } = await import("esbuild");
	await build({
		entryPoints: [file],
		outfile: bundle,
		bundle: true,
		platform: "node",
		target: "node20",
		format: "esm",
		packages: "external",
		sourcemap: "inline",
		logLevel: "warning",
	});
}

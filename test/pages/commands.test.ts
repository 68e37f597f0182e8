// Every command of the README and of docs/ is run as a reader would run it, in a directory of its own, and what it prints is
// compared with what the page shows. The programs that pages take for granted (./my-vmm) are those of programs/.

import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { temporaryDirectory } from "../end-to-end/programs.js";
import { type Block, blocksOf, isShown, type Step, stepsOf } from "./blocks.js";

const checkout = fileURLToPath(new URL("../..", import.meta.url));
const programs = fileURLToPath(new URL("programs", import.meta.url));

/** One has no commands to be followed; those of the other are `npm run guests`, which boots a guest by each. */
const NOT_FOLLOWED = new Set(["errno.md", "qemu.md"].map((name) => join("docs", name)));

const PAGES = ["README.md", ...readdirSync(join(checkout, "docs")).map((name) => join("docs", name))].filter(
	(page) => page.endsWith(".md") && !NOT_FOLLOWED.has(page),
);

/** Commands that are not run here, and why. */
const ELSEWHERE: readonly [command: RegExp, because: string][] = [
	[/^npm start$/, "sets a checkout up: CI runs it in a fresh clone"],
	[/^npm test$/, "takes minutes, and CI runs it"],
	[/^npx ioasis /, "takes the package from npm's registry"],
	[/^npm run bench\b/, "takes minutes: CI runs its short form"],
	[/--policies mainline,cautious /, "needs a rule of one's own, which recipe.test.ts makes"],
	[/ -- tests\/device\/io /, "takes a build of libvfn"],
	[/^(bin\/)?ioasis doctor$/, "its answer is this computer's: a test of its own"],
];

/** Those that fail, as the page says. */
const FAILS: readonly RegExp[] = [
	/-p agreed,reordered /,
	/^bin\/ioasis (walk 0x100000000|ps)$/,
	/^ioasis run -- node examples\/edu\.mjs$/,
];

/** Those whose output is the page's example, and no run's. */
const EXAMPLES: readonly RegExp[] = [/--fail-each -- \.\/my-vmm-tests$/];

/** What a computer may lack: which commands take it, and what shows that it is there. */
const TOOLS: readonly { name: string; takenBy: RegExp; shownBy: string }[] = [
	{ name: "lspci", takenBy: /\blspci\b/, shownBy: "lspci --version" },
	{ name: "cc", takenBy: /^cc |\.\/nvme\b|\bcopier\b/, shownBy: "cc --version" },
	{ name: "qemu-system-x86_64", takenBy: /\bqemu-system-x86_64\b/, shownBy: "qemu-system-x86_64 --version" },
	{
		name: "a QEMU with iommufd",
		takenBy: /-object iommufd\b/,
		shownBy: "qemu-system-x86_64 -object help | grep iommufd",
	},
	{ name: "a qemu-img with NVMe", takenBy: /\bqemu-img\b/, shownBy: "qemu-img --help | grep -w nvme" },
	{ name: "dpdk-testpmd", takenBy: /\bdpdk-testpmd\b/, shownBy: "command -v dpdk-testpmd" },
	{ name: "dpdk-devbind.py", takenBy: /\bdpdk-devbind\.py\b/, shownBy: "command -v dpdk-devbind.py" },
];

const missing = TOOLS.filter(({ shownBy }) => spawnSync("sh", ["-c", shownBy]).status !== 0);

const { path: root, remove } = temporaryDirectory();
afterAll(remove);

/** A directory as a reader of the page has it: the checkout's files, and the programs that the page takes for granted. */
function sandbox(page: string, blocks: readonly Block[]): string {
	const directory = join(root, page.replaceAll("/", "-"));
	mkdirSync(join(directory, "docs"), { recursive: true });
	for (const name of ["bin", "examples", "machines"]) symlinkSync(join(checkout, name), join(directory, name));
	for (const name of ["my-vmm", "my-vmm-tests", "my-test-suite"])
		symlinkSync(join(programs, "my-vmm.mjs"), join(directory, name));
	symlinkSync(join(programs, "my-driver.mjs"), join(directory, "my-driver"));
	writeFileSync(
		join(directory, "mine.json"),
		blocksOf(page, readFileSync(join(checkout, "docs/machines.md"), "utf8"))
			.find(isMachine)!
			.lines.join("\n"),
	);
	const expectations = blocks.find(
		({ language, lines }) => language === "json" && lines.some((line) => line.includes("mayFail")),
	);
	if (expectations) writeFileSync(join(directory, "expect.json"), expectations.lines.join("\n"));
	writeFileSync(join(directory, "disk.img"), new Uint8Array(1 << 20));
	writeFileSync(join(directory, "FILE"), new Uint8Array(1_000_000).fill(7));
	return directory;
}

const isMachine = ({ language, lines }: Block): boolean =>
	language === "json" && lines.some((line) => line.includes('"iommus"'));

interface Ended {
	readonly status: number | null;
	readonly printed: readonly string[];
}

function run(command: string, cwd: string): Ended {
	const { status, stdout } = spawnSync("sh", ["-c", `{ ${command}\n} 2>&1`], {
		cwd,
		env: environment,
		encoding: "utf8",
		input: "quit\n",
		timeout: 300_000,
	});
	return { status, printed: linesOf(stdout) };
}

/** Runs of other tests aren't seen: what one asks for without --pid is the page's own. */
const environment = {
	...process.env,
	PATH: `${join(checkout, "bin")}${delimiter}${process.env.PATH}`,
	XDG_RUNTIME_DIR: root,
	TMPDIR: root,
};

/** Starts what a reader starts in another terminal; it runs until it is ended. */
async function start(command: string, cwd: string): Promise<() => void> {
	const child = spawn("sh", ["-c", `exec ${command}`], { cwd, env: environment, stdio: ["pipe", "pipe", "inherit"] });
	let printed = "";
	child.stdout.on("data", (text) => {
		printed += text;
	});
	while (printed === "" && child.exitCode === null) await sleep(20);
	return () => child.kill();
}

const linesOf = (text: string): string[] => (text === "" ? [] : text.trimEnd().split("\n"));

/** The lines of a page's block as long as they are of that page: a blank last one is the page's, not the program's. */
const shownLines = (output: readonly string[]): string[] => linesOf(output.join("\n"));

async function follow(steps: readonly Step[], cwd: string): Promise<void> {
	const background: (() => void)[] = [];
	try {
		for (const step of steps) {
			const where = `${step.page}:${step.line}: ${step.command}`;
			if (step.isBackground) {
				background.push(await start(step.command, cwd));
				continue;
			}
			const { status, printed } = run(step.command, cwd);
			const fails = FAILS.some((pattern) => pattern.test(step.command));
			expect({ where, fails: status !== 0, printed: fails === (status !== 0) ? [] : printed }).toEqual({
				where,
				fails,
				printed: [],
			});
			if (step.output === undefined || EXAMPLES.some((pattern) => pattern.test(step.command))) continue;
			const shown = shownLines(step.output);
			if (!isShown(shown, printed)) expect({ where, printed }).toEqual({ where, printed: shown });
		}
	} finally {
		for (const end of background) end();
	}
}

for (const page of PAGES) {
	const blocks = blocksOf(page, readFileSync(join(checkout, page), "utf8"));
	const steps = blocks.flatMap(stepsOf).filter(({ command }) => !ELSEWHERE.some(([pattern]) => pattern.test(command)));
	if (steps.length === 0) continue;
	const lacks = missing.filter(({ takenBy }) => steps.some(({ command }) => takenBy.test(command)));
	const able = steps.filter(({ command }) => !lacks.some(({ takenBy }) => takenBy.test(command)));
	test(`${page}: what it has people type works, and prints what it shows`, { timeout: 600_000 }, () =>
		follow(able, sandbox(page, blocks)),
	);
	for (const { name } of lacks) test.skip(`${page}: without ${name} some of its commands aren't run`);
}

test("what is run elsewhere, fails, or is an example is still in a page", () => {
	const commands = PAGES.flatMap((page) =>
		blocksOf(page, readFileSync(join(checkout, page), "utf8")).flatMap(stepsOf),
	).map(({ command }) => command);
	for (const pattern of [...ELSEWHERE.map(([pattern]) => pattern), ...FAILS, ...EXAMPLES])
		expect(
			commands.filter((command) => pattern.test(command)),
			String(pattern),
		).not.toEqual([]);
});

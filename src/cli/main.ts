// The command line. Each command is loaded when it is asked for.

import { Command, Option } from "commander";
import { sayOnStderr } from "../host/say.js";
import { printable } from "../trace/printable.js";
import { USAGE_ERROR } from "./exit-codes.js";
import { catchTheRest } from "./fail.js";
import type { MatrixOptions } from "./matrix.js";
import type { ReplayOptions } from "./replay.js";
import type { RunOptions } from "./run.js";
import type { WalkOptions } from "./walk.js";

/** package.json's; the build fills it in. */
declare const VERSION: string;

const EXAMPLE = "ioasis run --trace -- ./my-vmm --device vfio-pci";

const POLICY_HELP = "the allocation rule: posted, agreed, reordered or mainline";

catchTheRest();

/** It can be given more than once. */
function deviceOption(): Option {
	return new Option("-d, --device <model,...>", "add a device, or replace one: docs/devices.md").argParser(
		(value: string, before: string[] = []) => [...before, value],
	);
}

const program = new Command("ioasis")
	.configureOutput({ writeErr: (text) => sayOnStderr(...linesOf(text)), outputError: (text, write) => write(text) })
	.description("Linux's IOMMUFD in user space: any program in front of /dev/iommu, without root, an IOMMU or a VM")
	.version(VERSION, "--version")
	.helpOption("-h, --help", "show this help")
	.helpCommand(false)
	.configureHelp({ showGlobalOptions: false })
	.showHelpAfterError("Try: ioasis --help")
	.enablePositionalOptions()
	.exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : USAGE_ERROR))
	.addHelpText("after", `\nExample:\n  ${EXAMPLE}\n`);

program
	.command("run")
	.usage("[options] -- PROGRAM [ARGS...]")
	.summary("run a program in front of /dev/iommu")
	.description(
		"Runs PROGRAM, and all that it starts, in front of one machine's /dev/iommu. Waits for the last of them; the exit code is PROGRAM's.",
	)
	.addOption(new Option("-m, --machine <name|file>", "one of `machines`, or JSON").default("selftest"))
	.addOption(deviceOption())
	.addOption(new Option("-p, --policy <name>", POLICY_HELP).default("mainline"))
	.addOption(new Option("--trace[=FILE]", "print each call, and the reason of each error, on stderr or to FILE"))
	.addOption(new Option("--trace-to <file>").hideHelp())
	.option("--memory <size>", "memory for clients (default: a quarter of all)")
	.option("--walk <iova,...>", "print how an IOVA is translated, level by level, when that changes")
	.option("--record <file>", "write all calls to a file, for `ioasis replay`")
	.option("--report <file>", "write what fails, and how it ended, as JSON Lines")
	.option("--fail-nth <n>", "have the nth allocation fail; 0 counts them")
	.option("--fail-each", "run it for each of them in turn: docs/cli.md")
	.addOption(new Option("--timeout <seconds>").hideHelp())
	.addOption(new Option("-j, --jobs <n>").hideHelp())
	.addOption(new Option("--json").hideHelp())
	.option("-q, --quiet", "no summary at the end")
	.argument("<program...>")
	.passThroughOptions()
	.showHelpAfterError("Try: ioasis run --help")
	.addHelpText(
		"after",
		`
Exit codes: PROGRAM's own; 128 + N if signal N killed it; 126 or 127 if it can't be
started; 125 if ioasis itself fails; 2 for a wrong option or machine.

Example:
  ${EXAMPLE}
`,
	)
	.action(async (words: string[], options: RunOptions) => {
		if (options.failEach) {
			const { failEach } = await import("./fail-each.js");
			await failEach(asGiven(words), options);
			return;
		}
		const { run } = await import("./run.js");
		await run(asGiven(words), options);
	});

program
	.command("matrix")
	.usage("[options] -- PROGRAM [ARGS...]")
	.summary("run a program on every machine, under every allocation rule")
	.description(
		"Runs PROGRAM once for each machine and policy, and prints what works where; and where not, the first call that failed and why.",
	)
	.option("-m, --machines <list>", "names or files, separated by commas (default: all that ship)")
	.addOption(
		new Option("-p, --policies <list>", "of posted, agreed, reordered, mainline").default("posted,agreed,mainline"),
	)
	.addOption(deviceOption())
	.option("--memory <size>", "what each run's clients may have us use: 1G")
	.option("-j, --jobs <n>", "how many run at a time (default: as many as there are CPUs)")
	.option("--timeout <seconds>", "kill, and call a failure, what takes longer")
	.option("--expect <file>", "which combinations may fail, as JSON: docs/matrix.md")
	.option("--shard <i/n>", "only part i of n, for CI with several jobs")
	.option("--junit <file>", "write the results as JUnit XML, too")
	.option("--json", "print them as JSON")
	.argument("<program...>")
	.passThroughOptions()
	.showHelpAfterError("Try: ioasis matrix --help")
	.addHelpText(
		"after",
		`
Exit codes: 0 if all pass or may fail, 1 if not; 126 or 127 if PROGRAM can't be started;
2 for a wrong option or machine.

Example:
  ioasis matrix --machines intel,s390-2023 -- ./my-vmm-tests
`,
	)
	.action(async (words: string[], options: MatrixOptions) => {
		const { matrix } = await import("./matrix.js");
		await matrix(asGiven(words), options);
	});

program
	.command("replay")
	.usage("[options] FILE")
	.summary("make the calls of a recording again, and compare the answers")
	.description(
		"Makes the calls of a recording again on a fresh machine, without the program, and stops at the first answer that differs.",
	)
	.option("-m, --machine <name|file>", "another machine than the recorded one")
	.addOption(new Option("-p, --policy <name>", POLICY_HELP))
	.option("--load-models", "run the files of models that the recording's machine names")
	.option("-q, --quiet", "say nothing when all answers are the same")
	.argument("<file>")
	.showHelpAfterError("Try: ioasis replay --help")
	.addHelpText(
		"after",
		`
Exit codes: 0 if all answers are the same, 1 if one differs, 2 for a wrong option, machine
or recording.

Example:
  ioasis run --record vmm.jsonl -- ./my-vmm && ioasis replay vmm.jsonl
`,
	)
	.action(async (file: string, options: ReplayOptions) => {
		const { replay } = await import("./replay.js");
		replay(file, options);
	});

program
	.command("walk")
	.usage("[options] IOVA...")
	.summary("print how an IOVA is translated, in a program that runs or in a recording")
	.description(
		"Prints how IOVAs are translated, level by level and through both stages, by each page table (HWPT): at this moment in a program that runs under `ioasis run`, or in a recording of one.",
	)
	.option("--pid <pid>", "which run: ioasis's own PID, or its program's (default: the only one)")
	.option("--recording <file>", "a recording of `ioasis run --record` instead")
	.addOption(new Option("--load-models").hideHelp())
	.option("--at <line>", "after that line of it (default: the last at which an IOVA is translated)")
	.option("--hwpt <id>", "only that page table")
	.option("--device <name>", "only what that device is attached to: vfio0, or 0000:00:02.0")
	.option("--pasid <n>", "requests of the device with that PASID")
	.option("--json", "as JSON")
	.argument("<iova...>")
	.showHelpAfterError("Try: ioasis walk --help")
	.addHelpText(
		"after",
		`
Exit codes: 0 if a walk was printed, wherever it leads; 1 if there is no such run, page
table or device; 2 for a wrong option or recording.

Example:
  ioasis run --machine intel -- ./my-vmm &
  ioasis walk --device vfio0 0x100000000
`,
	)
	.action(async (iovas: string[], options: WalkOptions) => {
		const { walk } = await import("./walk.js");
		await walk(iovas, options);
	});

program
	.command("explain")
	.usage("CALL [ERRNO] | FILE")
	.summary("say why a call fails, and what to do")
	.description(
		"Says why a call answers an errno, and what to do: for CALL, or for each call that failed in FILE, which is a trace, a recording or a report.",
	)
	.argument("<what>", "a call, an errno, or a file that --trace=FILE, --record or --report has written")
	.argument("[errno]", "only that one")
	.showHelpAfterError("Try: ioasis explain --help")
	.addHelpText(
		"after",
		`
Exit codes: 0, or 2 if there is no such call or file.

Example:
  ioasis explain IOMMU_IOAS_MAP EINVAL
  ioasis run --trace=calls.txt -- ./my-vmm; ioasis explain calls.txt
`,
	)
	.action(async (what: string, errno: string | undefined) => {
		const { explain } = await import("./explain.js");
		explain(what, errno);
	});

program
	.command("machines")
	.summary("list the machines that there are")
	.description("Lists the machines that --machine can name.")
	.option("--json", "as JSON")
	.action(async (options: { json?: true }) => {
		const { machines } = await import("./machines.js");
		machines(options.json ?? false);
	});

program
	.command("doctor")
	.summary("check whether this kernel can run it, and say what to do if not")
	.description(
		"Checks what `ioasis run` needs: the kernel's seccomp notifications, the right to look into one's own children, and Node.",
	)
	.option("--json", "as JSON")
	.action(async (options: { json?: true }) => {
		const { doctor } = await import("./doctor.js");
		process.exitCode = await doctor(options.json ?? false);
	});

program.parseAsync(withTraceTarget(process.argv.slice(2)), { from: "user" });

/** What commander says, which quotes the command line: the ends of lines are its own, those in a word of the command line aren't. */
function linesOf(text: string): string[] {
	const words = process.argv.slice(2).flatMap((word) => [word, word.split("=", 1)[0]]);
	const quoted = words.reduce(
		(said, word) => (word.includes("\n") ? said.replaceAll(word, printable(word)) : said),
		text,
	);
	return quoted.trimEnd().split("\n");
}

/** The program and its arguments, which are the last words: among them withTraceTarget() may have changed some. */
function asGiven(program: readonly string[]): string[] {
	return process.argv.slice(-program.length);
}

/** `--trace` has a value only after "=", so that it never takes the program for one; commander has no such options. */
function withTraceTarget(words: readonly string[]): string[] {
	const end = words.indexOf("--");
	return words.map((word, i) => {
		if (end >= 0 && i > end) return word;
		if (word === "--trace") return "--trace-to=-";
		return word.startsWith("--trace=") ? `--trace-to=${word.slice("--trace=".length)}` : word;
	});
}

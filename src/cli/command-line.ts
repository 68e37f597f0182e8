// What can be said to the command: its subcommands, their options, and what their help says. Each is loaded when it is asked for.
// The man page and the completion of shells are made of this, too.

import { Command, Option } from "commander";
import { say, sayOnStderr } from "../host/say.js";
import { printable } from "../trace/printable.js";
import { USAGE_ERROR } from "./exit-codes.js";
import { asGiven } from "./given-words.js";
import type { MatrixOptions } from "./matrix.js";
import type { ObjectsOptions } from "./objects.js";
import type { ReplayOptions } from "./replay.js";
import type { RunOptions } from "./run.js";
import type { WalkOptions } from "./walk.js";
import type { WhyOptions } from "./why.js";

/** package.json's; the build fills it in. */
declare const VERSION: string;

const EXAMPLE = "ioasis run --trace -- ./my-vmm --device vfio-pci";

const POLICY_HELP = "the allocation rule: posted, agreed, reordered or mainline";

/** What stands at the end of a command's help. */
export interface Epilogue {
	readonly exitCodes?: string;
	readonly examples: readonly string[];
}

export const epilogues = new Map<Command, Epilogue>();

function end(command: Command, epilogue: Epilogue): Command {
	epilogues.set(command, epilogue);
	const { exitCodes, examples } = epilogue;
	const example = `Example:\n${examples.map((line) => `  ${line}\n`).join("")}`;
	return command.addHelpText(
		"after",
		exitCodes === undefined ? `\n${example}` : `\nExit codes: ${exitCodes}\n\n${example}`,
	);
}

/** It can be given more than once. */
function deviceOption(): Option {
	return new Option("-d, --device <model,...>", "add a device, or replace one: docs/devices.md").argParser(
		(value: string, before: string[] = []) => [...before, value],
	);
}

/** Its value stands after "=": see withTraceTarget(). */
function traceOption(): Option {
	const option = new Option("--trace", "each call, and the reason of each error, on stderr or in FILE");
	option.flags = "--trace[=FILE]";
	return option;
}

export const program = new Command("ioasis")
	.configureOutput({
		writeOut: (text) => say(...linesOf(text)),
		writeErr: (text) => sayOnStderr(...linesOf(text)),
		outputError: (text, write) => write(text),
	})
	.description("Linux's IOMMUFD in user space: any program in front of /dev/iommu, without root, an IOMMU or a VM")
	.version(VERSION, "-V, --version", "show the version")
	.helpOption("-h, --help", "show this help")
	.helpCommand("help [command]", "show the help of a command")
	.configureHelp({ showGlobalOptions: false })
	.showHelpAfterError("Try: ioasis --help")
	.enablePositionalOptions()
	.exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : USAGE_ERROR));
end(program, { examples: [EXAMPLE] });

const run = program
	.command("run")
	.usage("[options] -- PROGRAM [ARGS...]")
	.summary("run a program in front of /dev/iommu")
	.description(
		"Runs PROGRAM, and all that it starts, in front of one machine's /dev/iommu. Waits for the last of them; the exit code is PROGRAM's.",
	)
	.optionsGroup("The machine:")
	.addOption(new Option("-m, --machine <name|file>", "a name of `ioasis machines`, or a JSON file").default("selftest"))
	.addOption(deviceOption())
	.addOption(new Option("-p, --policy <name>", POLICY_HELP).default("mainline"))
	.option("--memory <size>", "how much memory its clients may take: 4G (default: a quarter of all)")
	.optionsGroup("What is printed:")
	.addOption(traceOption())
	.addOption(new Option("--trace-to <file>").hideHelp())
	.option("--trace-filter <list>", "of the trace only: errors, IOMMU_IOAS_*, !pread64, device=vfio0, object=3")
	.addOption(new Option("--trace-format <format>", "of the trace").choices(["text", "json"]).default("text"))
	.option("--trace-times", "in the trace: when each call was answered, and how long it took")
	.option("--trace-totals", "at the end: how often each call was made, failed, and how long it took")
	.option("--dma-errors <what>", "each DMA that goes wrong, and why: report, exit=CODE, abort")
	.option("--walk <iova,...>", "how an IOVA is translated, level by level, when that changes")
	.option("-q, --quiet", "no summary at the end")
	.optionsGroup("What is written:")
	.option("--record <file>", "all calls, for `ioasis replay`")
	.option("--record-on-failure <file>", "the same, and kept only if PROGRAM fails")
	.option("--report <file>", "what fails, and how it ended, as JSON Lines")
	.optionsGroup("Memory that runs out (docs/cli.md):")
	.option("--fail-nth <n>", "fail the nth allocation; 0 counts them")
	.option("--fail-each", "run it again and again, each time with the next allocation failing")
	.option("--timeout <seconds>", "with --fail-each: kill what takes longer (default: 30)")
	.option("-j, --jobs <n>", "with --fail-each: runs at a time (default: one per CPU)")
	.option("--json", "with --fail-each: the results as JSON; with --dma-errors: these as JSON Lines")
	.argument("<program...>")
	.passThroughOptions()
	.showHelpAfterError("Try: ioasis run --help")
	.action(async (words: string[], options: RunOptions) => {
		if (options.failEach) {
			const { failEach } = await import("./fail-each.js");
			await failEach(asGiven(words), options);
			return;
		}
		const { run } = await import("./run.js");
		await run(asGiven(words), options);
	});
end(run, {
	exitCodes: `PROGRAM's own; 128 + N if signal N killed it; 126 or 127 if it can't be
started; 125 if ioasis itself fails; 2 for a wrong option or machine.`,
	examples: [EXAMPLE],
});

const matrix = program
	.command("matrix")
	.usage("[options] -- PROGRAM [ARGS...]")
	.summary("run a program on every machine and policy")
	.description(
		"Runs PROGRAM once for each machine and policy, and prints what works where; and where not, the first call that failed and why.",
	)
	.option("-m, --machines <list>", "names or files, separated by commas (default: all that ship)")
	.addOption(
		new Option("-p, --policies <list>", "of posted, agreed, reordered, mainline").default("posted,agreed,mainline"),
	)
	.addOption(deviceOption())
	.option("--memory <size>", "how much memory each run's clients may take: 1G")
	.option("-j, --jobs <n>", "how many run at a time (default: one per CPU)")
	.option("--timeout <seconds>", "kill what takes longer, and call it a failure")
	.option("--expect <file>", "which combinations may fail, as JSON: docs/matrix.md")
	.option("--shard <i/n>", "only part i of n, for CI with several jobs")
	.option("--junit <file>", "write the results as JUnit XML, too")
	.option("--record-on-failure <directory>", "keep a recording of each run that fails")
	.option("--json", "print the results as JSON")
	.argument("<program...>")
	.passThroughOptions()
	.showHelpAfterError("Try: ioasis matrix --help")
	.action(async (words: string[], options: MatrixOptions) => {
		const { matrix } = await import("./matrix.js");
		await matrix(asGiven(words), options);
	});
end(matrix, {
	exitCodes: `0 if all pass or may fail, 1 if not; 126 or 127 if PROGRAM can't be started;
2 for a wrong option or machine; 128 + N after signal N, when what had ended was printed.`,
	examples: ["ioasis matrix --machines intel,s390-2023 -- ./my-vmm-tests"],
});

const replay = program
	.command("replay")
	.usage("[options] FILE")
	.summary("make a recording's calls again, and compare")
	.description(
		"Makes the calls of a recording again on a fresh machine, without the program, and stops at the first answer that differs.",
	)
	.option("-m, --machine <name|file>", "another machine than the recorded one")
	.addOption(new Option("-p, --policy <name>", POLICY_HELP))
	.option("--load-models", "run the files of models that the recording's machine names")
	.option("-q, --quiet", "say nothing when all answers are the same")
	.argument("<file>")
	.showHelpAfterError("Try: ioasis replay --help")
	.action(async (file: string, options: ReplayOptions) => {
		const { replay } = await import("./replay.js");
		replay(file, options);
	});
end(replay, {
	exitCodes: `0 if all answers are the same, 1 if one differs, 2 for a wrong option, machine
or recording.`,
	examples: ["ioasis run --record vmm.rec -- ./my-vmm && ioasis replay vmm.rec"],
});

const convert = program
	.command("convert")
	.usage("FILE [OUTPUT]")
	.summary("write a recording as JSON Lines, or back")
	.description(
		"Writes a recording in its other form: what `ioasis run --record` has written as JSON Lines, for people and for programs, or such lines as a recording, which takes a tenth of the room.",
	)
	.argument("<file>")
	.argument("[output]", "a file (default: stdout)")
	.showHelpAfterError("Try: ioasis convert --help")
	.action(async (file: string, output: string | undefined) => {
		const { convert } = await import("./convert.js");
		await convert(file, output);
	});
end(convert, {
	exitCodes: "0, or 2 for a file that is no recording, or can't be written.",
	examples: ["ioasis convert vmm.rec | jq 'select(.answer.errno)'"],
});

const ps = program
	.command("ps")
	.summary("list the programs that run under `ioasis run`")
	.description(
		"Lists your programs that run under `ioasis run`: the PID of ioasis and of the program, since when, and the machine.",
	)
	.option("--json", "as JSON")
	.showHelpAfterError("Try: ioasis ps --help")
	.action(async (options: { json?: true }) => {
		const { ps } = await import("./ps.js");
		await ps(options);
	});
end(ps, { exitCodes: "0, or 1 if there is none.", examples: ["ioasis ps"] });

const objects = program
	.command("objects")
	.usage("[options] [FILE]")
	.summary("list the objects of a run, or at a call of a recording")
	.description(
		"Lists the objects of each open of /dev/iommu, and what containers of VFIO's own have: in a program that runs under `ioasis run`, or in FILE, a recording of one.",
	)
	.option("--pid <pid>", "which run: ioasis's own PID, or its program's (default: the only one)")
	.option("--at <call>", "of a recording: after that call (default: the last)")
	.option("--load-models", "run the files of models that the recording's machine names")
	.option("--json", "as JSON")
	.argument("[file]", "a recording of `ioasis run --record`")
	.showHelpAfterError("Try: ioasis objects --help")
	.action(async (file: string | undefined, options: ObjectsOptions) => {
		const { objects } = await import("./objects.js");
		await objects(file, options);
	});
end(objects, {
	exitCodes: "0; 1 if there is no such run; 2 for a wrong option or recording.",
	examples: ["ioasis objects", "ioasis objects vmm.rec --at 6"],
});

const walk = program
	.command("walk")
	.usage("[options] IOVA...")
	.summary("print how an IOVA is translated, in a program that runs or in a recording")
	.description(
		"Prints how IOVAs are translated, level by level and through both stages, by each page table (HWPT): at this moment in a program that runs under `ioasis run`, or in a recording of one.",
	)
	.option("--pid <pid>", "which run: ioasis's own PID, or its program's (default: the only one)")
	.option("--recording <file>", "a recording of `ioasis run --record` instead")
	.option("--load-models", "run the files of models that the recording's machine names")
	.option("--at <call>", "after that call of it (default: the last at which an IOVA is translated)")
	.option("--hwpt <id>", "only that page table")
	.option("--device <name>", "only what that device is attached to: vfio0, or 0000:00:02.0")
	.option("--pasid <n>", "requests of the device with that PASID")
	.option("--json", "as JSON")
	.argument("<iova...>")
	.showHelpAfterError("Try: ioasis walk --help")
	.action(async (iovas: string[], options: WalkOptions) => {
		const { walk } = await import("./walk.js");
		await walk(iovas, options);
	});
end(walk, {
	exitCodes: `0 if a walk was printed, wherever it leads; 1 if there is no such run, page
table or device; 2 for a wrong option or recording.`,
	examples: ["ioasis run --machine intel -- ./my-vmm &", "ioasis walk --device vfio0 0x100000000"],
});

const explain = program
	.command("explain")
	.usage("CALL [ERRNO] | FILE")
	.summary("say why a call fails, and what to do")
	.description(
		"Says why a call answers an errno, and what to do: of CALL, or of each call that failed in FILE, which is a trace, a recording or a report.",
	)
	.argument("<what>", "a call, an errno, or a file that --trace=FILE, --record or --report has written")
	.argument("[errno]", "only that one")
	.showHelpAfterError("Try: ioasis explain --help")
	.action(async (what: string, errno: string | undefined) => {
		const { explain } = await import("./explain.js");
		explain(what, errno);
	});
end(explain, {
	exitCodes: "0, or 2 if there is no such call or file.",
	examples: [
		"ioasis explain IOMMU_IOAS_MAP EINVAL",
		"ioasis run --trace=calls.txt -- ./my-vmm; ioasis explain calls.txt",
	],
});

const why = program
	.command("why")
	.usage("[options] CALL_NUMBER FILE")
	.summary("say what a call of a recording met or changed")
	.description(
		"Shows a call of FILE, a recording. Of one that failed: its reason, what to do, and the state that it met: what is in its way, who uses the object, and which calls made that so. Of one that succeeded: what it changed.",
	)
	.option("--load-models", "run the files of models that the recording's machine names")
	.option("--json", "as JSON")
	.argument("<number>", "of the call, counted from 1")
	.argument("<file>", "a recording of `ioasis run --record`")
	.showHelpAfterError("Try: ioasis why --help")
	.action(async (number: string, file: string, options: WhyOptions) => {
		const { why } = await import("./why.js");
		await why(number, file, options);
	});
end(why, {
	exitCodes: `0; 1 if a call up to it is answered otherwise than it was; 2 for a wrong
number or recording.`,
	examples: ["ioasis run --record vmm.rec -- ./my-vmm; ioasis explain vmm.rec", "ioasis why 6 vmm.rec"],
});

const machines = program
	.command("machines")
	.usage("[options] [command]")
	.summary("list machines; show, check or make one")
	.description("Lists the machines that --machine can name. With a command: shows one, checks a file, or makes a file.")
	.option("--json", "as JSON")
	.helpCommand(false)
	.showHelpAfterError("Try: ioasis machines --help")
	.action(async (options: { json?: true }) => {
		const { machines } = await import("./machines.js");
		machines(options.json ?? false);
	});
end(machines, { examples: ["ioasis machines", "ioasis machines show intel >mine.json"] });

const show = machines
	.command("show")
	.summary("print a machine's file, to begin with")
	.description("Prints the file of a machine that ships, to begin one of your own with.")
	.argument("<name>", "a name of `ioasis machines`, or a file")
	.showHelpAfterError("Try: ioasis machines show --help")
	.action(async (name: string) => {
		const { showMachine } = await import("./machines.js");
		showMachine(name);
	});
end(show, { examples: ["ioasis machines show intel >mine.json"] });

const check = machines
	.command("check")
	.summary("say whether a machine file is right")
	.description("Says which devices a machine file describes; or what is wrong with it, in which line and column.")
	.argument("<file>")
	.showHelpAfterError("Try: ioasis machines check --help")
	.action(async (file: string) => {
		const { checkMachine } = await import("./machines.js");
		await checkMachine(file);
	});
end(check, { exitCodes: "0 if it is right, 2 if not.", examples: ["ioasis machines check ./mine.json"] });

const capture = machines
	.command("capture")
	.summary("print a machine file of this computer")
	.description(
		"Prints a machine file made of what Linux shows in /sys: IOMMUs, PCI functions with their capabilities, groups, and what the firmware has reserved. As root it sees all of it. Nothing is changed.",
	)
	.option("--root <tree>", "a directory that has a copy of sys/ of another computer")
	.option("--name <name>", "what the machine is called (default: the host's name)")
	.showHelpAfterError("Try: ioasis machines capture --help")
	.action(async ({ root, name }: { root?: string; name?: string }) => {
		const { captureMachine } = await import("./machines.js");
		captureMachine(root, name);
	});
end(capture, {
	exitCodes: "0; 1 if the file has to be changed before it can be used; 2 if there is nothing to capture.",
	examples: ["sudo ioasis machines capture >mine.json"],
});

const doctor = program
	.command("doctor")
	.summary("say whether it works here, and what to do")
	.description(
		"Looks at what `ioasis run` needs, and then does what a run does: it starts a program, which makes calls, binds a device and has it interrupt.",
	)
	.option("--json", "as JSON")
	.showHelpAfterError("Try: ioasis doctor --help")
	.action(async (options: { json?: true }) => {
		const { doctor } = await import("./doctor.js");
		process.exitCode = await doctor(options.json ?? false);
	});
end(doctor, { exitCodes: "0 if it works here, 1 if not.", examples: ["ioasis doctor"] });

const completion = program
	.command("completion")
	.summary("have a shell complete the words of this")
	.description("Prints what has bash, zsh or fish complete the words of this command.")
	.argument("<shell>", "bash, zsh or fish")
	.showHelpAfterError("Try: ioasis completion --help")
	.action(async (shell: string) => {
		const { printCompletion } = await import("./completion.js");
		printCompletion(shell);
	});
end(completion, { examples: ["source <(ioasis completion bash)", "ioasis completion fish | source"] });

program
	.command("complete", { hidden: true })
	.argument("[words...]")
	.passThroughOptions()
	.action(async (words: string[]) => {
		const { printCandidates } = await import("./completion.js");
		printCandidates(program, asGiven(words));
	});

/** What commander says, which quotes the command line: the ends of lines are its own, those in a word of the command line aren't. */
function linesOf(text: string): string[] {
	const words = process.argv.slice(2).flatMap((word) => [word, word.split("=", 1)[0]]);
	const quoted = words.reduce(
		(said, word) => (word.includes("\n") ? said.replaceAll(word, printable(word)) : said),
		text,
	);
	return quoted.trimEnd().split("\n");
}

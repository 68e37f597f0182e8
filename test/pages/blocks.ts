// What a page of the documentation has people type, and what it says that they see then.

/** A fenced block of a page. */
export interface Block {
	readonly page: string;
	/** Of the page: the line after the fence, counted from 1. */
	readonly line: number;
	/** What stands behind the fence: "sh", "json", or nothing for what is seen in a terminal. */
	readonly language: string;
	readonly lines: readonly string[];
}

/** One command of a block. */
export interface Step {
	readonly page: string;
	readonly line: number;
	readonly command: string;
	/** It goes on while the next ones are typed. */
	readonly isBackground: boolean;
	/** The lines that the page says it prints, if any. */
	readonly output: readonly string[] | undefined;
}

export function blocksOf(page: string, text: string): Block[] {
	const blocks: Block[] = [];
	let open: { line: number; language: string; lines: string[] } | undefined;
	for (const [index, line] of text.split("\n").entries()) {
		const fence = /^```(\w*)/.exec(line);
		if (fence && open) {
			blocks.push({ page, ...open });
			open = undefined;
		} else if (fence) open = { line: index + 2, language: fence[1], lines: [] };
		else open?.lines.push(line);
	}
	return blocks;
}

/** Of a shell's block each line is a command; of a terminal's those after a dollar sign. */
export function stepsOf(block: Block): Step[] {
	if (block.language === "sh") return shellSteps(block);
	return block.language === "" ? terminalSteps(block) : [];
}

function shellSteps({ page, line, lines }: Block): Step[] {
	const steps: Step[] = [];
	let before = "";
	for (const [index, text] of lines.entries()) {
		const part = before + withoutRemark(text);
		before = part.endsWith("\\") ? part.slice(0, -1) : "";
		if (before === "" && part.trim() !== "") steps.push(step(page, line + index, part, undefined));
	}
	return steps;
}

function terminalSteps({ page, line, lines }: Block): Step[] {
	const commands = [...lines.entries()].filter(([, text]) => text.startsWith("$ "));
	return commands.map(([index, text], nth) => {
		const output = lines.slice(index + 1, commands[nth + 1]?.[0]);
		return step(page, line + index, text.slice(2), output.length > 0 ? output : undefined);
	});
}

function step(page: string, line: number, text: string, output: readonly string[] | undefined): Step {
	const command = text.trim();
	const isBackground = command.endsWith(" &");
	return { page, line, command: isBackground ? command.slice(0, -2) : command, isBackground, output };
}

function withoutRemark(line: string): string {
	return line.replace(/(^|\s+)#\s.*$/, "").trimEnd();
}

/** Whether lines are those that a page shows. A line of three dots stands for any number of lines. */
export function isShown(shown: readonly string[], printed: readonly string[]): boolean {
	const [first, ...rest] = shown;
	if (first === undefined) return printed.length === 0;
	if (first.trim() === "...") return printed.some((_, from) => isShown(rest, printed.slice(from))) || isShown(rest, []);
	return printed.length > 0 && comparable(first) === comparable(printed[0]) && isShown(rest, printed.slice(1));
}

/** A line without what differs from run to run: numbers of processes and files, addresses, how wide a column is. */
export function comparable(line: string): string {
	return line
		.replace(/^\d+(?= (open|ioctl|pread64|pwrite64|mmap|munmap|close)\()/, "PID")
		.replace(/^\d+(?=: )/, "PID")
		.replace(/^ *\d+ +\d+ +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/, "PID PID TIME")
		.replace(/\bthread \d+/g, "thread N")
		.replace(/\b\d+(?=<\/)/g, "FD")
		.replace(/^(PID open.* = )\d+$/, "$1FD")
		.replace(/0x[0-9a-f]{9,}/g, "ADDRESS")
		.replace(/\s+/g, " ")
		.trim();
}

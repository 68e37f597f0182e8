// What a page has people type to boot a guest, and what it says that the guest says then.

import { blocksOf } from "../pages/blocks.js";

/** How the guest's lines begin that a page shows: those of init.sh. */
export const SAID = "guest: ";

export interface Recipe {
	readonly title: string;
	/** Of the page: the command's first. */
	readonly line: number;
	readonly command: string;
	/** The guest's lines. */
	readonly shown: readonly string[];
}

/** A recipe is a block that starts ioasis; the block after it is what the guest says, and the heading before it its title. */
export function recipesOf(page: string, text: string): Recipe[] {
	const lines = text.split("\n");
	const blocks = blocksOf(page, text);
	return blocks.flatMap(({ line, language, lines: command }, index) => {
		if (language !== "sh" || !command[0]?.startsWith("bin/ioasis run")) return [];
		const title = lines.slice(0, line).findLast((before) => before.startsWith("#")) ?? page;
		return [
			{ title: title.replace(/^#+ /, ""), line, command: command.join("\n"), shown: blocks[index + 1]?.lines ?? [] },
		];
	});
}

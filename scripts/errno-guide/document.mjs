// docs/errno.md: the commands, the errnos that each can give, the reasons, and what to do about them.

const HEAD = `<!-- Written by \`npm run errno-guide\` from the sources. Don't edit: change the code, or src/uapi/hints.ts. -->

# Errnos, and what to do about them

For each call each errno that Ioasis can answer, with each reason that it can give for it. \`ioasis run --trace -- PROGRAM\` prints
the reason below the call that failed, with the values in place of what is in *italics* here, and what to do about it. \`ioasis explain
IOMMU_IOAS_MAP EINVAL\` prints a part of this page, \`ioasis explain FILE\` what a trace has of it. The errnos are Linux's; the reasons are ours.

How this page was made: a script reads the sources with the TypeScript compiler, finds every place that makes an \`Errno\`, and
follows the calls from each command's handler to it. Where a method is called through an interface, all that implement it count:
so a table has the reasons of every IOMMU driver, and some that can't occur with this command, because a check before them is
stricter or because the caller never asks for what they are about. None that can occur is missing. What only gives things back (destroy, release,
close) isn't followed: it can't fail. "Where" names the file in src/, and with it the machine: a reason in \`iommu/drivers/amd.ts\` needs an
AMD IOMMU.
`;

const GROUPS = [
	["iommufd", "Ioctls of /dev/iommu", ""],
	[
		"device",
		"Ioctls of a VFIO device",
		"On an open of /dev/vfio/devices/vfioN, or of what VFIO_GROUP_GET_DEVICE_FD returns.",
	],
	["container", "VFIO's container ioctls", "On /dev/vfio/vfio, by VFIO's own type 1, or on /dev/iommu."],
	["group", "Ioctls of a VFIO group", "On an open of /dev/vfio/N."],
	["file", "Other calls", ""],
	["test", "IOMMU_TEST_CMD", "What the kernel's own tests say to a machine with the mock IOMMU, by its op."],
];

/**
 * @typedef {object} Entry
 * @property {string} name
 * @property {string} of
 * @property {readonly import("./sites.mjs").Site[]} sites
 */

/**
 * @param {readonly Entry[]} commands
 * @param {readonly import("./sites.mjs").Site[]} general what any ioctl can be answered with
 * @param {readonly import("./sites.mjs").Site[]} injected what is answered because somebody wants it
 * @param {readonly import("./sites.mjs").Site[]} others what nothing was found to lead to
 * @param {Readonly<Record<string, import("../../src/uapi/hints.ts").Hint>>} hints
 */
export function write(commands, general, injected, others, hints) {
	const parts = [
		HEAD,
		"## Any ioctl\n",
		"Before a command is looked at, and when its answer is written:\n",
		table(general),
	];
	for (const [of, title, text] of GROUPS) {
		parts.push(`## ${title}\n`);
		if (text !== "") parts.push(`${text}\n`);
		for (const { name, sites } of commands.filter((command) => command.of === of)) {
			parts.push(`### ${name}\n`);
			parts.push(sites.length === 0 ? "No errors of its own.\n" : `${codesOf(sites).map(quote).join(", ")}\n`);
			if (sites.length > 0) parts.push(table(sites));
		}
	}
	parts.push(
		"## Fault injection\n",
		"Only when it was asked for, with `--fail-nth`, `--fail-each` or `/proc/self/fail-nth`; then by any call that comes by such a place:\n",
		table(injected),
	);
	if (others.length > 0)
		parts.push(
			"## Of no single call\n",
			"What the call graph leads to from no call, or from every one:\n",
			table(others),
		);
	parts.push("## What to do\n", "By the names in the last column of the tables.\n");
	for (const [name, { advice, more }] of Object.entries(hints)) {
		parts.push(`### ${name}\n`, `${inMarkdown(advice)}\n`);
		if (more !== undefined) parts.push(`${inMarkdown(more)}\n`);
	}
	return `${parts.join("\n").trimEnd()}\n`;
}

function table(sites) {
	const rows = sites.flatMap((site) => site.codes.map((code) => ({ code, site })));
	rows.sort((one, other) => compare(one.code, other.code) || depth(one.site) - depth(other.site));
	const lines = rows.map(
		({ code, site }) =>
			`| ${quote(code)} | ${site.reason} | ${site.file} | ${site.hint ? `[${site.hint}](#${site.hint})` : ""} |`,
	);
	return `| errno | reason | where | what to do |\n|---|---|---|---|\n${lines.join("\n")}\n`;
}

/** What the handler itself says first, then what is below it. */
function depth({ file }) {
	const room = ["vfio/", "iommufd/", "iommu/drivers/", "iommu/", "memory/", "pagetable/", "uapi/", "host/"].findIndex(
		(start) => file.startsWith(start),
	);
	// Drivers last: only one of them is there.
	return room === 2 ? 100 : room;
}

/** What would be markup outside of `code` is none. */
function inMarkdown(text) {
	return text.replaceAll(/`[^`]*`|[*<>]/g, (part) => (part.length > 1 ? part : `\\${part}`));
}

function codesOf(sites) {
	return [...new Set(sites.flatMap(({ codes }) => codes))].sort(compare);
}

function quote(code) {
	return `\`${code}\``;
}

function compare(one, other) {
	if (one === other) return 0;
	return one < other ? -1 : 1;
}

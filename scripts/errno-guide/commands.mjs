// What a program can call, and the code that answers it: where the call graph is entered.

import { SyntaxKind } from "typescript/unstable/ast";

/**
 * @typedef {object} Command
 * @property {string} name as in C, or as people say it
 * @property {"iommufd" | "container" | "test" | "group" | "device" | "file"} of what kind of file answers it
 * @property {import("./call-graph.mjs").Unit[]} entries
 */

/** @param {import("./call-graph.mjs").CallGraph} graph @returns {Command[]} */
export function findCommands(graph) {
	return [...merged(tableEntries(graph)), ...merged(switchCases(graph)), ...files(graph)];
}

/** One of each name: CONFIG_IOMMUFD_TEST, and VFIO's own containers beside iommufd's, have handlers of their own for some. */
function merged(commands) {
	const byName = new Map();
	for (const command of commands) {
		const known = byName.get(command.name);
		if (known === undefined) byName.set(command.name, command);
		else known.entries.push(...command.entries);
	}
	return [...byName.values()];
}

/** The tables of ioctls.ts and of the test commands: on(Destroy, destroy), on("MOCK_DOMAIN", mockDomain). */
function tableEntries(graph) {
	return graph.nodes(SyntaxKind.CallExpression).flatMap(({ node, file }) => {
		if (node.expression.text !== "on" || !file.startsWith("iommufd/")) return [];
		const [what, handler] = node.arguments;
		const entries = [graph.namedBy(handler)];
		if (what.kind === SyntaxKind.StringLiteral) return [{ name: what.text, of: "test", entries }];
		const name = commandName(graph, what);
		// Its ops have entries of their own.
		if (name === "IOMMU_TEST_CMD") return [{ name: "any other op", of: "test", entries: [own(graph, handler)] }];
		return [{ name, of: "iommufd", entries }];
	});
}

/** The cases of the switches over `command`: case VfioDeviceAttachIommufdPt.number. */
function switchCases(graph) {
	const cases = graph
		.nodes(SyntaxKind.CaseClause)
		.filter(({ node }) => node.expression.name?.text === "number")
		.map(({ node, file }) => ({
			name: commandName(graph, node.expression.expression),
			of: answering(file),
			entries: [graph.of(node, file)],
		}));
	const bind = {
		name: "VFIO_DEVICE_BIND_IOMMUFD",
		of: "device",
		entries: [graph.named("vfio/device-file.ts", "DeviceFile.#bind")],
	};
	return [bind, ...cases];
}

/** What kind of file a source file answers for. */
function answering(file) {
	if (file === "vfio/group.ts") return "group";
	const isContainers = file === "vfio/container.ts" || file.startsWith("vfio/type1/");
	return file.startsWith("vfio/") && !isContainers ? "device" : "container";
}

/** What is not an ioctl. */
function files(graph) {
	return [
		{
			name: "open of /dev/iommu or a VFIO device",
			of: "file",
			entries: [graph.named("host/paths/opens.ts", "Opens.#handOver")],
		},
		{ name: "mmap of /dev/iommu", of: "file", entries: [graph.named("iommufd/mmap-regions.ts", "MmapRegions.map")] },
		{
			name: "read and write of a queue of events or page faults",
			of: "file",
			entries: ["read", "write"].map((name) => graph.named("iommufd/eventq.ts", `EventQueueFile.${name}`)),
		},
		{
			name: "pread, pwrite and mmap of a VFIO device",
			of: "file",
			entries: ["readAt", "writeAt", "mmap"].map((name) => graph.named("vfio/device-file.ts", `DeviceFile.${name}`)),
		},
	];
}

/** Only what a function says itself. */
function own(graph, handler) {
	return { ...graph.namedBy(handler), calls: new Set() };
}

/** "IOMMU_IOAS_MAP", from command(0x85, "IOAS_MAP", ...). */
function commandName(graph, identifier) {
	const declaration = graph.declarationOf(identifier);
	const name = declaration.initializer.arguments.find(({ kind }) => kind === SyntaxKind.StringLiteral).text;
	return `${declaration.getSourceFile().fileName.endsWith("/vfio.ts") ? "VFIO" : "IOMMU"}_${name}`;
}

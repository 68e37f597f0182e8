// What isn't worth changing, as a plugin of Stryker's: the words of errors, and statements that aren't in the sample.

import { declareValuePlugin, PluginKind } from "@stryker-mutator/api/plugin";

const oneOf = Number(process.env.ONE_OF ?? 1);
const SAMPLED = new Set(["ReturnStatement", "ExpressionStatement", "VariableDeclaration"]);
/** A number without a pattern that lines of code could have, too: 2^32 by the golden ratio. */
const SCATTER = 2654435761;

export const strykerPlugins = [
	declareValuePlugin(PluginKind.Ignore, "ioasis", {
		shouldIgnore({ node, parent }) {
			if (node.type === "NewExpression" && node.callee.name === "Errno") return "the words of an error";
			if (node.type === "ClassMethod" && node.key.name === "toString") return "words";
			const isCondition = parent?.test === node; // of an if, a loop or ?:
			const isSampled = isCondition || SAMPLED.has(node.type);
			const line = node.loc?.start.line ?? 0;
			return isSampled && ((line * SCATTER) >>> 0) % oneOf !== 0 ? "not in the sample" : undefined;
		},
	}),
];

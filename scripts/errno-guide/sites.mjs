// Every `new Errno(code, reason)` of the sources, and its reason as people read it: with the names of the values in the
// places of the values.

import { SyntaxKind } from "typescript/unstable/ast";

/**
 * @typedef {object} Site
 * @property {any} node
 * @property {string} file below src/
 * @property {readonly string[]} codes more than one where it depends on the caller
 * @property {string} reason in Markdown: values are *italic*
 * @property {string | undefined} hint its name in src/uapi/hints.ts
 */

/** @param {import("./call-graph.mjs").CallGraph} graph @returns {Site[]} */
export function findSites(graph) {
	return graph
		.nodes(SyntaxKind.NewExpression)
		.filter(({ node }) => node.expression.text === "Errno")
		.map(({ node, file }) => {
			const [code, reason, hint] = node.arguments;
			return { node, file, codes: codesOf(code, graph), reason: inWords(reason, graph), hint: hintOf(hint, graph) };
		});
}

/** A hint's name: of a parameter the one that is meant where nothing else is said. */
function hintOf(node, graph) {
	if (node === undefined || node.kind === SyntaxKind.StringLiteral) return node?.text;
	return graph.declarationOf(node)?.initializer?.text;
}

/** Which errnos an expression can be. */
function codesOf(node, graph) {
	if (node.kind === SyntaxKind.StringLiteral) return [node.text];
	if (node.kind === SyntaxKind.ConditionalExpression)
		return [...codesOf(node.whenTrue, graph), ...codesOf(node.whenFalse, graph)];
	const found = givenFor(node.name?.text ?? node.text, graph);
	return found.length > 0 ? found : ["?"];
}

/** Of a value in words: `nameIn(names, value)`. */
const NAMING = new Set(["nameIn", "flagsIn"]);

const ERRNO = /^E[A-Z0-9]+$/;

/** The errnos that are given anywhere for a property, a variable or a parameter of that name. */
function givenFor(name, graph) {
	const codes = new Set();
	const add = (node) => {
		if (node?.kind === SyntaxKind.StringLiteral && ERRNO.test(node.text)) codes.add(node.text);
		else if (node?.kind === SyntaxKind.ConditionalExpression) {
			add(node.whenTrue);
			add(node.whenFalse);
		} else if (node?.kind === SyntaxKind.BinaryExpression) {
			add(node.left);
			add(node.right);
		}
	};
	for (const kind of [SyntaxKind.PropertyAssignment, SyntaxKind.VariableDeclaration, SyntaxKind.PropertyDeclaration])
		for (const { node } of graph.nodes(kind)) if (node.name?.text === name) add(node.initializer);
	for (const { node } of graph.nodes(SyntaxKind.Parameter)) {
		if (node.name?.text !== name) continue;
		add(node.initializer);
		const index = node.parent.parameters.indexOf(node);
		const callee = node.parent.name?.text ?? node.parent.parent?.name?.text;
		for (const kind of [SyntaxKind.CallExpression, SyntaxKind.NewExpression])
			for (const { node: call } of graph.nodes(kind))
				if ((call.expression.name?.text ?? call.expression.text) === callee) add(call.arguments?.[index]);
	}
	return [...codes].sort();
}

/** A reason as text. */
function inWords(node, graph) {
	switch (node.kind) {
		case SyntaxKind.StringLiteral:
		case SyntaxKind.NoSubstitutionTemplateLiteral:
			return escaped(node.text);
		case SyntaxKind.TemplateExpression:
			return node.templateSpans.reduce(
				(text, span) => `${apart(text, valueName(span.expression, graph))}${escaped(span.literal.text)}`,
				escaped(node.head.text),
			);
		case SyntaxKind.ConditionalExpression:
			return `${inWords(node.whenTrue, graph)}; or: ${inWords(node.whenFalse, graph)}`;
		default:
			return valueName(node, graph);
	}
}

/** Two values that stand side by side would read as one. */
function apart(text, value) {
	return text.endsWith("*") && value.startsWith("*") ? `${text} ${value}` : text + value;
}

/** What stands for a value: `hex(map.userVa)` is *userVa*, and so is `nameIn(names, map.userVa)` or flagsIn of it. */
function valueName(node, graph) {
	switch (node.kind) {
		case SyntaxKind.StringLiteral:
		case SyntaxKind.NoSubstitutionTemplateLiteral:
			return escaped(node.text);
		case SyntaxKind.TemplateExpression:
			return inWords(node, graph);
		case SyntaxKind.Identifier:
			return constant(node, graph) ?? `*${node.text}*`;
		case SyntaxKind.PropertyAccessExpression:
			return node.name.text === "name" || node.name.text === "length" || node.name.text === "size"
				? `*${words(node)}*`
				: `*${node.name.text.replace(/^#/, "")}*`;
		case SyntaxKind.ConditionalExpression:
			return `(${valueName(node.whenTrue, graph)} or ${valueName(node.whenFalse, graph)})`.replace(
				/^\( or (.*)\)$/,
				"$1",
			);
		case SyntaxKind.CallExpression:
			if (node.expression.name?.text === "toString") return valueName(node.expression.expression, graph);
			if (NAMING.has(node.expression.text)) return valueName(node.arguments[1], graph);
			if (sentencesOf(node, graph).length > 0) return `(${sentencesOf(node, graph).join(" or: ")})`;
			return node.arguments.length === 1 && !/^(has|is)/.test(node.expression.text ?? "")
				? valueName(node.arguments[0], graph)
				: `*${words(node.expression)}*`;
		case SyntaxKind.ThisKeyword:
			return `*${node.parent && className(node)}*`;
		case SyntaxKind.ParenthesizedExpression:
		case SyntaxKind.NonNullExpression:
			return valueName(node.expression, graph);
		default:
			return `*${escaped(node.getText().replaceAll(/\s+/g, " "))}*`;
	}
}

/** What a function can return that a reason is composed with: each a sentence of its own. */
function sentencesOf(call, graph) {
	const body = call.expression.kind === SyntaxKind.Identifier ? graph.declarationOf(call.expression)?.body : undefined;
	const returned = (body?.statements ?? []).flatMap((statement) => {
		const inner = statement.kind === SyntaxKind.IfStatement ? statement.thenStatement : statement;
		return inner.kind === SyntaxKind.ReturnStatement ? [inner.expression] : [];
	});
	return returned.length > 1 && returned.every(({ kind }) => kind === SyntaxKind.TemplateExpression)
		? returned.map((expression) => inWords(expression, graph))
		: [];
}

/** "map.alignment": what it is and whose. */
function words(node) {
	if (node.kind === SyntaxKind.PropertyAccessExpression) {
		const owner = node.expression.kind === SyntaxKind.ThisKeyword ? "" : `${words(node.expression)}.`;
		return `${owner}${node.name.text.replace(/^#/, "")}`;
	}
	if (node.kind === SyntaxKind.CallExpression) return words(node.expression);
	return node.getText().replaceAll(/\s+/g, " ");
}

/** A constant's value, where it is a number that stands in the source. */
function constant(node, graph) {
	if (!/^[A-Z][A-Z0-9_]+$/.test(node.text)) return undefined;
	const value = graph.declarationOf(node)?.initializer;
	return value?.kind === SyntaxKind.NumericLiteral ? value.getText() : undefined;
}

function className(node) {
	for (let at = node; at; at = at.parent) if (at.kind === SyntaxKind.ClassDeclaration) return at.name.text;
	return "this";
}

function escaped(text) {
	return text.replaceAll(/[*|<>]/g, "\\$&");
}

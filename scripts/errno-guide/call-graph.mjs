// Who calls whom in src/, as the TypeScript compiler sees it: the names in each function's body, resolved to what they
// name. Where a name is an interface's or a base class's method, all who implement it count as called.
//
// The compiler's API is marked unstable: it may change with any version of it. All use of it is in this file.

import { relative, sep } from "node:path";
import { SyntaxKind } from "typescript/unstable/ast";
import { API, SymbolFlags } from "typescript/unstable/sync";

/**
 * A piece of code that runs as one: a function's body, a variable's initial value, a case of a switch.
 * @typedef {{ node: any, file: string, calls: Set<Unit> }} Unit
 */

/** What a unit of its own is; all that is inside of it and not of this kind belongs to it. */
const UNITS = new Set([
	SyntaxKind.FunctionDeclaration,
	SyntaxKind.MethodDeclaration,
	SyntaxKind.Constructor,
	SyntaxKind.GetAccessor,
	SyntaxKind.SetAccessor,
	SyntaxKind.PropertyDeclaration,
]);
const FUNCTIONS = new Set([SyntaxKind.ArrowFunction, SyntaxKind.FunctionExpression]);

export class CallGraph {
	#root;
	#api;
	#checker;
	/** By the declaration's file and position. @type {Map<string, Unit>} */
	#units = new Map();
	/** Declarations of the same name in classes and objects that stand for an interface's or a base class's member. */
	#implementations = new Map();
	/** Constructors and initial values, by class declaration. */
	#classes = new Map();
	/** All nodes of a kind, with their files. */
	#nodes = new Map();

	/**
	 * @param {string} root the checkout
	 * @param {(file: string) => boolean} includes which files of src/ it is about
	 */
	constructor(root, includes) {
		this.#root = root;
		this.#api = new API({ cwd: root });
		const [project] = this.#api.updateSnapshot({ openProject: `${root}/tsconfig.json` }).getProjects();
		this.#checker = project.checker;
		const files = project.program
			.getSourceFileNames()
			.filter((name) => name.startsWith(`${root}/src/`) && includes(this.#short(name)))
			.sort()
			.map((name) => project.program.getSourceFile(name));
		for (const file of files) this.#collect(file, this.#short(file.fileName));
		this.#findImplementations(project);
		for (const unit of [...this.#units.values()]) this.#addCalls(unit);
	}

	close() {
		this.#api.close();
	}

	/** All nodes of a kind. @returns {readonly { node: any, file: string }[]} */
	nodes(kind) {
		return this.#nodes.get(kind) ?? [];
	}

	/** The unit of a function or a method: "ioctls.ts", "IommufdFile.ioctl" or "destroy". */
	named(file, name) {
		for (const unit of this.#units.values()) if (unit.file === file && nameOf(unit.node) === name) return unit;
		throw new Error(`errno-guide: there is no ${name} in src/${file}`);
	}

	/** The unit of the function that an expression names. */
	namedBy(identifier) {
		return this.#units.get(keyOf(this.declarationOf(identifier)));
	}

	/** The nodes of all functions of some names. */
	allNamed(names) {
		return new Set([...this.#units.values()].map(({ node }) => node).filter((node) => names.has(node.name?.text)));
	}

	/** A unit for any node: a case of a switch. @returns {Unit} */
	of(node, file) {
		const unit = { node, file, calls: new Set() };
		this.#addCalls(unit);
		return unit;
	}

	/** What an expression names: its declaration. */
	declarationOf(identifier) {
		return this.#declarations(this.#checker.getSymbolAtLocation(identifier))[0];
	}

	/**
	 * All units that can be reached from some.
	 * @param {Unit[]} from
	 * @param {ReadonlySet<string>} closed names of functions that are not entered
	 * @returns their nodes
	 */
	reachable(from, closed) {
		const reached = new Set(from);
		for (const unit of reached)
			for (const called of unit.calls) if (!closed.has(called.node.name?.text)) reached.add(called);
		return new Set([...reached].map(({ node }) => node));
	}

	/** Whether a node is in one of these units itself, and not in another function that is written inside of it. */
	isIn(node, units) {
		for (let at = node; at; at = at.parent) {
			if (units.has(at)) return true;
			if (isUnit(at)) return false;
		}
		return false;
	}

	#short(name) {
		return relative(`${this.#root}/src`, name).split(sep).join("/");
	}

	#collect(file, short) {
		const visit = (node) => {
			const known = this.#nodes.get(node.kind);
			if (known) known.push({ node, file: short });
			else this.#nodes.set(node.kind, [{ node, file: short }]);
			if (isUnit(node)) this.#units.set(keyOf(node), { node, file: short, calls: new Set() });
			node.forEachChild(visit);
		};
		visit(file);
	}

	/** Who stands for whom. Objects count by the type that is expected of them. */
	#findImplementations() {
		const derived = new Map();
		const classes = [SyntaxKind.ClassDeclaration, SyntaxKind.InterfaceDeclaration].flatMap((kind) => this.nodes(kind));
		for (const { node } of classes)
			for (const clause of node.heritageClauses ?? [])
				for (const { expression } of clause.types)
					for (const base of this.#declarations(this.#checker.getSymbolAtLocation(expression)))
						append(derived, keyOf(base), node);
		const descendants = (node) => (derived.get(keyOf(node)) ?? []).flatMap((child) => [child, ...descendants(child)]);
		for (const { node } of classes) {
			this.#classes.set(keyOf(node), node);
			for (const child of descendants(node)) this.#addMembers(node, child.members ?? []);
		}
		for (const { node } of this.nodes(SyntaxKind.ObjectLiteralExpression)) {
			if (!node.properties.some(isUnit)) continue;
			const [type] = this.#declarations(this.#checker.getContextualType(node)?.getSymbol());
			if (type?.members) this.#addMembers(type, node.properties);
			for (const base of classes)
				if (type && descendants(base.node).includes(type)) this.#addMembers(base.node, node.properties);
		}
	}

	#addMembers(base, members) {
		for (const member of base.members) {
			const name = member.name?.text;
			if (name === undefined) continue;
			for (const other of members)
				if (other.name?.text === name && other !== member) append(this.#implementations, keyOf(member), other);
		}
	}

	#addCalls(unit) {
		/** @type {any[]} */
		const names = [];
		const visit = (node) => {
			if (node !== unit.node && isUnit(node)) return;
			if (isTypeOnly(node)) return;
			if (node.kind === SyntaxKind.NewExpression) this.#addConstructor(unit, node.expression);
			if (node.kind === SyntaxKind.SuperKeyword) this.#addConstructor(unit, node);
			if (node.kind === SyntaxKind.Identifier || node.kind === SyntaxKind.PrivateIdentifier) names.push(node);
			node.forEachChild(visit);
		};
		// A declaration's own name isn't a call; its body, or its initial value, is what counts.
		unit.node.forEachChild((child) => {
			if (child !== unit.node.name) visit(child);
		});
		if (unit.node.kind === SyntaxKind.Identifier) names.push(unit.node);
		for (const symbol of this.#checker.getSymbolAtLocation(names))
			for (const declaration of this.#declarations(symbol)) this.#addDeclaration(unit, declaration);
	}

	#addDeclaration(unit, declaration) {
		const called = this.#units.get(keyOf(declaration));
		if (called) unit.calls.add(called);
		for (const other of this.#implementations.get(keyOf(declaration)) ?? []) {
			const implementation = this.#units.get(keyOf(other));
			if (implementation) unit.calls.add(implementation);
		}
	}

	/** `new X()` runs X's constructor and the initial values of its fields, and those of what it extends. */
	#addConstructor(unit, expression) {
		const [declaration] = this.#declarations(this.#checker.getSymbolAtLocation(expression));
		for (let node = this.#classes.get(declaration && keyOf(declaration)); node; node = this.#baseOf(node))
			for (const member of node.members)
				if (member.kind === SyntaxKind.Constructor || member.kind === SyntaxKind.PropertyDeclaration) {
					const called = this.#units.get(keyOf(member));
					if (called) unit.calls.add(called);
				}
	}

	#baseOf(node) {
		const clause = node.heritageClauses?.find(({ token }) => token === SyntaxKind.ExtendsKeyword);
		if (!clause || node.kind !== SyntaxKind.ClassDeclaration) return undefined;
		const [base] = this.#declarations(this.#checker.getSymbolAtLocation(clause.types[0].expression));
		return base && this.#classes.get(keyOf(base));
	}

	/** Where a symbol is declared, behind imports. */
	#declarations(symbol) {
		if (!symbol) return [];
		const target = symbol.flags & SymbolFlags.Alias ? this.#checker.getAliasedSymbol(symbol) : symbol;
		return target.declarations
			.filter(({ path }) => path.includes("/src/"))
			.map((handle) => handle.resolve())
			.filter((node) => node !== undefined);
	}
}

function isUnit(node) {
	if (UNITS.has(node.kind)) return true;
	if (node.kind === SyntaxKind.PropertyAssignment)
		return FUNCTIONS.has(node.initializer.kind) || node.initializer.kind === SyntaxKind.Identifier;
	// Of variables only those of a whole file: the others run with the function that they are in.
	return node.kind === SyntaxKind.VariableDeclaration && node.parent?.parent?.parent?.kind === SyntaxKind.SourceFile;
}

function isTypeOnly({ kind }) {
	return (
		(kind >= SyntaxKind.FirstTypeNode && kind <= SyntaxKind.LastTypeNode) || kind === SyntaxKind.InterfaceDeclaration
	);
}

/** "IommufdFile.ioctl", "destroy" */
function nameOf(node) {
	const name = node.name?.text ?? "constructor";
	return node.parent?.kind === SyntaxKind.ClassDeclaration ? `${node.parent.name.text}.${name}` : name;
}

function keyOf(node) {
	return `${node.getSourceFile().fileName}:${node.pos}:${node.end}`;
}

function append(map, key, value) {
	const known = map.get(key);
	if (known) known.push(value);
	else map.set(key, [value]);
}

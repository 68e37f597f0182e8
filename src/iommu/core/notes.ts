// Who has noted where a translation leads, and goes by that until it is told that it doesn't count any more: a device's own cache of
// translations, as ATS has it.

export class Notes {
	#revokers: Set<() => void> | undefined;

	/** Has `revoke` called at the next tell(), and no more after that. */
	add(revoke: () => void): void {
		this.#revokers ??= new Set();
		this.#revokers.add(revoke);
	}

	/** What was noted doesn't count any more. Nearly always nobody has noted anything. */
	tell(): void {
		const revokers = this.#revokers;
		if (revokers === undefined) return;
		this.#revokers = undefined;
		for (const revoke of revokers) revoke();
	}
}

// What an error must take back: the one shape of cleaning up.
//
//   using undo = new Undo();
//   const id = objects.reserve("IOAS");
//   undo.push(() => objects.cancel(id));
//   ... anything that may throw ...
//   undo.keep();

/** Steps that are run backwards when the scope is left, unless keep() was called before. */
export class Undo implements Disposable {
	readonly #steps: (() => void)[] = [];

	push(step: () => void): void {
		this.#steps.push(step);
	}

	/** All went well: nothing is taken back. */
	keep(): void {
		this.#steps.length = 0;
	}

	[Symbol.dispose](): void {
		for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) step();
	}
}

// A reporter of vitest's for `npm test`: tells the process that started it how far it is.

export default class ProgressReporter {
	#files = 0;
	#done = 0;
	#failed = 0;

	onTestRunStart(specifications) {
		this.#files = specifications.length;
		this.#tell();
	}

	onTestModuleEnd(module) {
		this.#done++;
		if (module.state() === "failed") this.#failed++;
		this.#tell();
	}

	#tell() {
		process.send?.({ files: this.#files, done: this.#done, failed: this.#failed });
	}
}

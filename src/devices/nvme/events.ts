// Asynchronous events: what the controller tells of its own accord. The host leaves requests for them; each event completes one, and no
// more of its type come until the host has read the log page that says more.
// NVM Express Base Specification 1.4, 5.2 "Asynchronous Event Request command".

export const EventType = { ERROR: 0, HEALTH: 1, NOTICE: 2 } as const;

/** Asynchronous Event Information, by type. */
export const ErrorEvent = { INVALID_DOORBELL_REGISTER: 0, INVALID_DOORBELL_VALUE: 1 } as const;
export const HealthEvent = { TEMPERATURE_THRESHOLD: 1 } as const;
export const NoticeEvent = { NAMESPACE_ATTRIBUTE_CHANGED: 0 } as const;

/** Asynchronous Event Request Limit: how many requests can wait. */
export const MOST_REQUESTS = 4;

export interface NvmeEvent {
	readonly type: number;
	readonly information: number;
	/** The log page that says more, and whose reading lets more events of the type come. */
	readonly logPage: number;
}

export class Events {
	/** The requests that wait: identifiers of their commands. */
	readonly requests: number[] = [];
	/** What has happened, and isn't told yet. */
	readonly waiting: NvmeEvent[] = [];
	/** Types that have been told, whose log page isn't read yet. */
	readonly told = new Set<number>();
	readonly #complete: (commandId: number, result: number) => void;

	/** @param complete completes a request */
	constructor(complete: (commandId: number, result: number) => void) {
		this.#complete = complete;
	}

	/** The host asks for an event. @returns whether there is room for one more request */
	request(commandId: number): boolean {
		if (this.requests.length === MOST_REQUESTS) return false;
		this.requests.push(commandId);
		return true;
	}

	/** Something has happened. The same thing is told once, however often it happens in the meantime. */
	report(type: number, information: number, logPage: number): void {
		if (this.waiting.some((event) => event.type === type && event.information === information)) return;
		this.waiting.push({ type, information, logPage });
	}

	/** Tells what can be told. */
	deliver(): void {
		for (let i = 0; i < this.waiting.length && this.requests.length > 0; ) {
			const { type, information, logPage } = this.waiting[i];
			if (this.told.has(type)) {
				i++;
				continue;
			}
			this.waiting.splice(i, 1);
			this.told.add(type);
			this.#complete(this.requests.shift()!, type | (information << 8) | (logPage << 16));
		}
	}

	/** The host has read a log page, and wants to hear more of what it is about. */
	acknowledge(type: number): void {
		this.told.delete(type);
	}

	/** Takes a request back. @returns whether there was one */
	withdraw(commandId: number): boolean {
		const index = this.requests.indexOf(commandId);
		if (index >= 0) this.requests.splice(index, 1);
		return index >= 0;
	}

	reset(): void {
		this.requests.length = 0;
		this.waiting.length = 0;
		this.told.clear();
	}
}

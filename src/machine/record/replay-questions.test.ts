import fc from "fast-check";
import { expect, test } from "vitest";
import type { Question } from "../../trace/record.js";
import { ReplayQuestions } from "./replay-questions.js";

const question = fc.oneof(
	fc.record({ ask: fc.constant("locked" as const), memory: fc.integer({ min: 1, max: 2 }), is: fc.nat() }),
	fc.record({ ask: fc.constant("uid" as const), owner: fc.integer({ min: 1, max: 2 }), is: fc.nat() }),
);
const wanted = fc.record({
	ask: fc.constantFrom("locked" as const, "uid" as const),
	of: fc.integer({ min: 1, max: 3 }),
});
const call = fc.record({ asked: fc.array(question, { maxLength: 8 }), wanted: fc.array(wanted, { maxLength: 12 }) });

test("in whatever order questions are asked, each finds the first of its kind that hasn't been found, of its own call", () => {
	const property = fc.property(fc.array(call, { maxLength: 4 }), (calls) => {
		const replay = new ReplayQuestions();
		for (const { asked, wanted } of calls) {
			replay.begin(asked);
			const left: Question[] = [...asked];
			for (const { ask, of } of wanted) {
				const isMeant = (one: Question) =>
					one.ask === ask && ("memory" in one ? one.memory : "owner" in one && one.owner) === of;
				const at = left.findIndex(isMeant);
				const [expected] = at === -1 ? [undefined] : left.splice(at, 1);
				expect(replay.take(ask, isMeant)).toBe(expected);
			}
		}
	});
	fc.assert(property, { numRuns: 500 });
});

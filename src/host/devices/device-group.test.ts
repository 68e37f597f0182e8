import { readdirSync } from "node:fs";
import { expect, test, vi } from "vitest";
import type { Machine } from "../../machine/machine.js";
import { TestBus } from "../../vfio/hardware.testing.js";
import { DeviceGroup, type GroupServices } from "./device-group.js";
import { Answer, AnswerKind, Question, QuestionKind } from "./link.js";
import { nothing } from "./nothing.js";
import { PeerReads } from "./peer-read.js";

/** A group of one function, in a machine of which all that is asked goes wrong, and what was reported. */
function inTrouble(): { group: DeviceGroup; services: Partial<GroupServices>; reported: unknown[] } {
	const wrong = () => {
		throw new TypeError("a bug made on purpose");
	};
	const reported: unknown[] = [];
	const machine = { dma: { locate: wrong, read: wrong, write: wrong, refuse: wrong }, report: wrong };
	const services: Partial<GroupServices> = {
		start: vi.fn(wrong),
		peerReads: new PeerReads(),
		reportBug: (error) => reported.push(error),
		caughtUp: wrong,
		say: wrong,
	};
	const vfio = new TestBus().add();
	const group = new DeviceGroup(
		machine as unknown as Machine,
		[{ vfio, model: nothing, options: {}, chosen: {} }],
		services as GroupServices,
	);
	return { group, services, reported };
}

/** Asks as the device's thread does, which waits as long as isAsked. */
function ask({ link }: DeviceGroup, kind: number): void {
	link.ask(Question.KIND, kind);
	link.ask(Question.FUNCTION, 0);
	link.ask(Question.LENGTH, 8);
	link.answer(Answer.KIND, AnswerKind.YES);
	link.handIn();
}

test.each(Object.keys(QuestionKind))("a bug while the question %s is answered leaves no thread waiting", (name) => {
	const { group } = inTrouble();
	ask(group, QuestionKind[name as keyof typeof QuestionKind]);
	group.look();
	expect(group.link.isAsked).toBe(false);
});

test("where a bug keeps us from an answer the way is not known, a copy is refused, and no memory is told of", () => {
	const { group, reported } = inTrouble();
	const { link } = group;
	const answers = [QuestionKind.LOCATE, QuestionKind.COPY, QuestionKind.MEMORY].map((kind) => {
		ask(group, kind);
		group.look();
		return link.answered(Answer.KIND);
	});
	expect(answers).toEqual([AnswerKind.ASK_FOR_COPY, AnswerKind.FAULT, AnswerKind.NOTHING]);
	expect(JSON.parse(link.readText(link.answered(Answer.LENGTH)))).toMatchObject({ stage: "function" });
	expect(reported).toHaveLength(3);
});

test("a thread that can't be started leaves nothing behind, and may be started later", () => {
	const { group, services } = inTrouble();
	const before = readdirSync("/proc/self/fd").length;
	expect(() => group.start()).toThrow("on purpose");
	expect([group.isRunning, readdirSync("/proc/self/fd").length]).toEqual([false, before]);
	vi.mocked(services.start!).mockImplementation(() => {});
	group.start();
	group.start();
	expect([group.isRunning, vi.mocked(services.start!).mock.calls.length]).toEqual([true, 2]);
	group.close();
	expect(readdirSync("/proc/self/fd")).toHaveLength(before);
});

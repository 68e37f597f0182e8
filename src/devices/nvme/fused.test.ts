import { beforeEach, expect, test } from "vitest";
import { AdminOpcode } from "./admin.js";
import { type CommandFields, PAGE, readOf, readOrWrite, TestDriver, writeOf } from "./driver.testing.js";
import { NvmOpcode } from "./nvm.js";
import { Status } from "./status.js";

const FIRST = 1;
const SECOND = 2;
let driver: TestDriver;
let expected: number;
let data: number;

beforeEach(() => {
	driver = new TestDriver({ options: { size: "1M:1M" } });
	driver.enable();
	driver.createQueues(1, 8);
	[expected, data] = [driver.take(PAGE), driver.take(PAGE)];
	driver.bytes(data, PAGE).fill(7);
});

const compare = (more: Partial<CommandFields> = {}) =>
	readOrWrite(NvmOpcode.COMPARE, 4, 2, expected, { flags: FIRST, id: 1, ...more });
const write = (more: Partial<CommandFields> = {}) => writeOf(4, 2, data, { flags: SECOND, id: 2, ...more });
const flush = { opcode: NvmOpcode.FLUSH, namespace: 1, id: 3 };
/** The completions of commands that are given together: whose, and their statuses. */
const outcome = (...commands: CommandFields[]) => {
	driver.submit(1, ...commands);
	driver.run();
	return driver.poll(1).map(({ commandId, status }) => [commandId, status]);
};
const content = () => {
	const page = driver.take(PAGE);
	driver.do(1, readOf(4, 1, page));
	return driver.port.memory[page];
};

test("what is compared and is the same is written", () => {
	expect(outcome(compare(), write(), flush)).toEqual([
		[1, 0],
		[2, 0],
		[3, 0],
	]);
	expect(content()).toBe(7);
});

test("what differs isn't written", () => {
	driver.bytes(expected, PAGE).fill(1);
	expect(outcome(compare(), write())).toEqual([
		[1, Status.COMPARE_FAILURE],
		[2, Status.FAILED_FUSED_COMMAND],
	]);
	expect(content()).toBe(0);
});

test("the two may lie around the end of the ring, or be fetched apart", () => {
	for (let round = 0; round < 8; round++) {
		driver.bytes(expected, PAGE).fill(round === 0 ? 0 : 7);
		expect(outcome(compare(), write(), flush)).toHaveLength(3);
		expect(content()).toBe(7);
	}
});

test("a completion queue with room for one takes both, one after the other", () => {
	driver.createCompletionQueue(2, 2);
	driver.createSubmissionQueue(2, 8, 2);
	driver.submit(2, compare(), write());
	driver.run();
	expect(driver.poll(2)).toMatchObject([{ commandId: 1, status: 0 }]);
	driver.run();
	expect(driver.poll(2)).toMatchObject([{ commandId: 2, status: 0 }]);
});

test.each([
	["the first alone", () => [compare()], [[1, Status.MISSING_FUSED_COMMAND]]],
	["the second alone", () => [write()], [[2, Status.MISSING_FUSED_COMMAND]]],
	[
		"the first before something else",
		() => [compare(), flush],
		[
			[1, Status.MISSING_FUSED_COMMAND],
			[3, 0],
		],
	],
	[
		"the first twice",
		() => [compare({ id: 9 }), compare(), write()],
		[
			[9, Status.MISSING_FUSED_COMMAND],
			[1, 0],
			[2, 0],
		],
	],
	[
		"other commands",
		() => [readOf(4, 2, expected, { flags: FIRST, id: 1 }), write()],
		[
			[1, Status.INVALID_FIELD],
			[2, Status.INVALID_FIELD],
		],
	],
	[
		"other blocks",
		() => [compare(), write({ dword10: 5 })],
		[
			[1, Status.INVALID_FIELD],
			[2, Status.INVALID_FIELD],
		],
	],
	[
		"fewer blocks",
		() => [compare(), write({ dword12: 0 })],
		[
			[1, Status.INVALID_FIELD],
			[2, Status.INVALID_FIELD],
		],
	],
	[
		"another namespace",
		() => [compare(), write({ namespace: 2 })],
		[
			[1, Status.INVALID_FIELD],
			[2, Status.INVALID_FIELD],
		],
	],
	[
		"a second that is wrong in itself",
		() => [compare(), write({ flags: SECOND | (3 << 6) })],
		[
			[1, Status.FAILED_FUSED_COMMAND],
			[2, Status.INVALID_FIELD],
		],
	],
	[
		"a first that is wrong in itself",
		() => [compare({ prp1: expected + 1 }), write()],
		[
			[1, Status.PRP_OFFSET_INVALID],
			[2, Status.FAILED_FUSED_COMMAND],
		],
	],
	[
		"a second whose data can't be had",
		() => [compare(), write({ prp1: 0x7000_0000 })],
		[
			[1, 0],
			[2, Status.DATA_TRANSFER_ERROR],
		],
	],
] as const)("a fused operation of %s isn't done", (_, commands, statuses) => {
	expect(outcome(...commands())).toEqual(statuses);
	if (statuses.length < 3) expect(content()).toBe(0);
});

test("no admin command is fused", () => {
	expect(driver.admin({ opcode: AdminOpcode.GET_FEATURES, dword10: 1, flags: FIRST }).status).toBe(
		Status.INVALID_FIELD,
	);
});

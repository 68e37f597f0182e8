import fc from "fast-check";
import { expect, test } from "vitest";
import type { PagingDomain } from "../core/iommu.js";
import { type AddressMap, MappingHistory } from "./mapping-history.js";

const nearest = () => ({ below: undefined, above: undefined });
const map = (name: string, domains: PagingDomain[] = []): AddressMap => ({ name, domains, nearest });
const callsOf = (changes: Iterable<{ call: number }>) => [...changes].map(({ call }) => call);

test("knows by which call an address was mapped and unmapped, of the map that is asked for", () => {
	const history = new MappingHistory();
	const [one, other] = [map("IOAS 1"), map("IOAS 2")];
	history.add(one);
	history.add(other);
	history.begin(5, 4711, 0x3b85);
	history.mapped(one, 0x1000n, 0x1fffn);
	history.mapped(other, 0x1000n, 0x1fffn);
	history.begin(6, 4712, 0x3b86);
	history.unmapped(one, 0n, 2n ** 64n - 1n);
	history.end();
	history.mapped(one, 0xffff_ffff_ffff_f000n, 2n ** 64n - 1n);
	expect([...history.changesAt(one, 0x1800n)]).toEqual([
		{ first: 0n, last: 2n ** 64n - 1n, isUnmap: true, call: 6, thread: 4712, command: 0x3b86 },
		{ first: 0x1000n, last: 0x1fffn, isUnmap: false, call: 5, thread: 4711, command: 0x3b85 },
	]);
	expect(callsOf(history.changesAt(other, 0x1fffn))).toEqual([5]);
	expect(callsOf(history.changesAt(one, 2n ** 64n - 1n))).toEqual([0, 6]);
	history.remove(other);
	expect(callsOf(history.changesAt(other, 0x1800n))).toEqual([]);
});

test("what is done while a call is interrupted is another's, or nobody's, and what is done afterwards its own", () => {
	const history = new MappingHistory();
	const ours = map("IOAS 1");
	history.add(ours);
	history.begin(5, 4711, 0x3b85);
	const { thread, command } = history.interrupt();
	history.unmapped(ours, 0n, 9n);
	history.begin(5, 4712, 0x3b86);
	history.mapped(ours, 0n, 9n);
	history.end();
	history.begin(6, thread, command);
	history.mapped(ours, 0n, 9n);
	const causes = [...history.changesAt(ours, 0n)].map(({ call, thread }) => [call, thread]);
	expect(causes).toEqual([
		[6, 4711],
		[5, 4712],
		[0, 4711],
	]);
});

test("finds the map that a domain shows", () => {
	const history = new MappingHistory();
	const domain = {} as PagingDomain;
	const shown = map("IOAS 1", [domain]);
	history.add(map("IOAS 2"));
	history.add(shown);
	expect(history.shownBy(domain)).toBe(shown);
	expect(history.shownBy({} as PagingDomain)).toBeUndefined();
});

test("answers as a list of all changes does, and forgets the oldest of 65,536", () => {
	const change = fc.record({ first: fc.nat(50), count: fc.integer({ min: 1, max: 20 }), isUnmap: fc.boolean() });
	fc.assert(
		fc.property(fc.array(change), fc.nat(80), fc.boolean(), (changes, asked, isLate) => {
			const history = new MappingHistory();
			const ours = map("IOAS 1");
			history.add(ours);
			const list: { call: number; first: bigint; last: bigint }[] = [];
			for (const [call, { first, count, isUnmap }] of changes.entries()) {
				history.begin(call, 1, 2);
				const [from, to] = [BigInt(first), BigInt(first + count - 1)];
				if (isUnmap) history.unmapped(ours, from, to);
				else history.mapped(ours, from, to);
				list.unshift({ call, first: from, last: to });
			}
			if (isLate) for (let i = 0; i < 65_536; i++) history.mapped(map("another"), 0n, 99n);
			const at = BigInt(asked);
			const expected = isLate ? [] : list.filter(({ first, last }) => first <= at && at <= last);
			expect(callsOf(history.changesAt(ours, at))).toEqual(expected.map(({ call }) => call));
		}),
		{ numRuns: 30 },
	);
});

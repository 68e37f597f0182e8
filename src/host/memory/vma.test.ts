import { readFileSync } from "node:fs";
import { afterEach, expect, test } from "vitest";
import { mmap, mprotect } from "../testing/client.testing.js";
import { readMapsAsText, Vmas } from "./vma.js";

afterEach(() => readMapsAsText(false));

const READ_WRITE = 3;
const PRIVATE_ANONYMOUS = 0x22;

test("an area is the same whether the kernel is asked for it or /proc/PID/maps is read", () => {
	const addresses = [...readFileSync("/proc/self/maps", "utf8").matchAll(/^([0-9a-f]+)-\S+ (?!.*vsyscall)/gm)];
	const look = (asText: boolean) => {
		readMapsAsText(asText);
		const vmas = new Vmas(process.pid);
		vmas.refresh();
		const found = addresses.slice(0, 50).map(([, address]) => {
			if (!vmas.find(Number.parseInt(address, 16) + 5)) return undefined;
			const { start, offset, inode, deviceMajor, deviceMinor, readable, shared } = vmas;
			return { start, offset, inode, deviceMajor, deviceMinor, readable, shared };
		});
		vmas.close();
		return found;
	};
	const asked = look(false);
	expect(asked.length).toBeGreaterThan(10);
	expect(look(true)).toEqual(asked);
});

for (const asText of [false, true]) {
	test(`areas are seen as they are now, ${asText ? "from the text" : "from the kernel"}`, () => {
		readMapsAsText(asText);
		const vmas = new Vmas(process.pid);
		const address = mmap(3 * 4096, READ_WRITE, PRIVATE_ANONYMOUS);
		mprotect(address + 4096, 4096, 1);
		vmas.refresh();
		expect(vmas.find(address + 4096 + 17)).toBe(true);
		expect([vmas.start, vmas.end]).toEqual([address + 4096, address + 2 * 4096]);
		expect([vmas.readable, vmas.writable, vmas.shared]).toEqual([true, false, false]);
		expect(vmas.find(0)).toBe(false);
		expect(vmas.alive).toBe(true);
		vmas.close();
		expect(vmas.alive).toBe(false);
	});
}

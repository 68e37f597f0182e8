// Checksums of Ethernet and of the Internet: RFC 1071; CRC-32 of IEEE 802.3 clause 3.2.9; CRC-32C of SCTP and
// iSCSI, RFC 4960 appendix B.

/**
 * Adds up words of 16 bits, big-endian; an odd byte at the end is the upper half of one.
 * @param sum to add to
 * @returns the sum, folded to 16 bits
 */
export function addWords(bytes: Uint8Array, from: number, to: number, sum = 0): number {
	let total = sum;
	let at = from;
	for (; at + 1 < to; at += 2) total += (bytes[at] << 8) | bytes[at + 1];
	if (at < to) total += bytes[at] << 8;
	return fold(total);
}

/** @param total below 2^32 */
function fold(total: number): number {
	let sum = total;
	while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
	return sum;
}

const ETHERNET = tableOf(0xedb8_8320);
const CASTAGNOLI = tableOf(0x82f6_3b78);

/** The frame check sequence of a frame: four bytes, the lowest first. */
export function crc32(bytes: Uint8Array, from = 0, to = bytes.length): number {
	return crc(ETHERNET, bytes, from, to, 0);
}

/** @param before of what comes before these bytes */
export function crc32c(bytes: Uint8Array, from: number, to: number, before = 0): number {
	return crc(CASTAGNOLI, bytes, from, to, before);
}

function crc(table: Uint32Array, bytes: Uint8Array, from: number, to: number, before: number): number {
	let value = ~before;
	for (let at = from; at < to; at++) value = table[(value ^ bytes[at]) & 0xff] ^ (value >>> 8);
	return ~value >>> 0;
}

function tableOf(polynomial: number): Uint32Array {
	return Uint32Array.from({ length: 256 }, (_, byte) => {
		let value = byte;
		for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1;
		return value;
	});
}

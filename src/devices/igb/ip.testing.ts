// IP packets for tests, with right checksums that are worked out in the plainest way.

export interface IpPacket {
	readonly version?: 4 | 6;
	readonly source?: readonly number[];
	readonly destination?: readonly number[];
	/** Source and destination, two bytes each. */
	readonly ports?: readonly number[];
	/** 6 for TCP, 17 for UDP. */
	readonly protocol: number;
	readonly payload?: readonly number[];
	/** Bytes between the header of IP and what it carries: options, or extension headers. */
	readonly options?: readonly number[];
	/** Of TCP. */
	readonly sequence?: number;
	readonly flags?: number;
	readonly identification?: number;
	readonly tag?: number | undefined;
}

export interface Layout {
	readonly bytes: Uint8Array;
	readonly macLength: number;
	readonly ipLength: number;
	readonly l4Length: number;
	/** Where the checksum of TCP or UDP is. */
	readonly checksumAt: number;
	/** What TCP and UDP add of IP to their checksum, but the length. */
	readonly pseudoHeader: number[];
}

export function ipPacket(packet: IpPacket): Uint8Array {
	return layOut(packet).bytes;
}

export function layOut({
	version = 4,
	source = version === 4 ? [10, 0, 0, 1] : Array.from({ length: 16 }, (_, i) => i),
	destination = version === 4 ? [10, 0, 0, 2] : Array.from({ length: 16 }, (_, i) => 0x20 + i),
	ports = [0x10, 0x01, 0x20, 0x02],
	protocol,
	payload = [1, 2, 3, 4, 5],
	options = [],
	sequence = 0x0102_0304,
	flags = 0x18,
	identification = 0x4567,
	tag,
}: IpPacket): Layout {
	const l4 =
		protocol === 6
			? [...ports, ...be(sequence, 4), 0, 0, 0, 0, 0x50, flags, 0x20, 0, 0, 0, 0, 0]
			: [...ports, ...be(8 + payload.length, 2), 0, 0];
	const l4Bytes = [...l4, ...payload];
	const pseudoHeader = [...source, ...destination, 0, protocol];
	const checksumAt = protocol === 6 ? 16 : 6;
	const l4Sum = onesComplement([...pseudoHeader, ...be(l4Bytes.length, 2), ...l4Bytes]);
	l4Bytes.splice(checksumAt, 2, ...be(protocol === 17 && l4Sum === 0 ? 0xffff : l4Sum, 2));
	const ip = version === 4 ? ipv4() : ipv6();
	function ipv4(): number[] {
		const length = 20 + options.length;
		const header = [
			0x40 | (length / 4),
			0,
			...be(length + l4Bytes.length, 2),
			...be(identification, 2),
			0x40,
			0,
			64,
			protocol,
			0,
			0,
			...source,
			...destination,
			...options,
		];
		header.splice(10, 2, ...be(onesComplement(header), 2));
		return header;
	}
	/** Options are one destination options header that leads to what is carried. */
	function ipv6(): number[] {
		const next = options.length > 0 ? 60 : protocol;
		const extension = options.length > 0 ? [protocol, options.length / 8 - 1, ...options.slice(2)] : [];
		return [
			0x60,
			0,
			0,
			0,
			...be(extension.length + l4Bytes.length, 2),
			next,
			64,
			...source,
			...destination,
			...extension,
		];
	}
	const mac = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, ...(tag === undefined ? [] : [0x81, 0, ...be(tag, 2)])];
	mac.push(...(version === 4 ? [8, 0] : [0x86, 0xdd]));
	const bytes = [...mac, ...ip, ...l4Bytes];
	while (bytes.length < 60) bytes.push(0);
	return {
		bytes: Uint8Array.from(bytes),
		macLength: mac.length,
		ipLength: ip.length,
		l4Length: l4.length,
		checksumAt: mac.length + ip.length + checksumAt,
		pseudoHeader,
	};
}

export function onesComplement(bytes: readonly number[]): number {
	let sum = 0;
	for (let i = 0; i < bytes.length; i += 2) {
		sum += bytes[i] * 256 + (bytes[i + 1] ?? 0);
		if (sum > 0xffff) sum -= 0xffff;
	}
	return 0xffff - sum;
}

export function be(value: number, size: number): number[] {
	return Array.from({ length: size }, (_, i) => Math.floor(value / 256 ** (size - 1 - i)) % 256);
}

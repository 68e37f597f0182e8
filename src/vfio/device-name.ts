// What GET_DEVICE_FD is asked for: the name of a function, and perhaps a VF token behind it, as in
// "0000:04:10.0 vf_token=bd8d9d2b-5a5f-4f5a-a211-f591514ba1f3". vfio_pci_core_match() in drivers/vfio/pci/vfio_pci_core.c.

import { Errno } from "../uapi/errno.js";

const TOKEN = "vf_token=";
/** As people write it: 32 digits in five groups. */
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/i;
const UUID_LENGTH = 36;

/**
 * @param text what the program asks for
 * @param name the function's: "0000:04:10.0"
 * @returns undefined when another one is meant
 * @throws EINVAL for what follows the name and isn't one token
 */
export function askedFor(text: string, name: string): { readonly token: Uint8Array | undefined } | undefined {
	if (!text.startsWith(name)) return undefined;
	let rest = text.slice(name.length);
	if (rest !== "" && !rest.startsWith(" ")) return undefined;
	let token: Uint8Array | undefined;
	while (rest !== "") {
		if (rest.startsWith(" ")) {
			rest = rest.slice(1);
			continue;
		}
		if (token !== undefined || !rest.startsWith(TOKEN))
			throw new Errno("EINVAL", `after ${name} nothing can follow but one ${TOKEN}UUID`, "device-name");
		rest = rest.slice(TOKEN.length);
		if (!UUID.test(rest))
			throw new Errno("EINVAL", `what follows ${TOKEN} is no UUID, like 8-4-4-4-12 hexadecimal digits`, "device-name");
		token = bytesOf(rest.slice(0, UUID_LENGTH));
		rest = rest.slice(UUID_LENGTH);
	}
	return { token };
}

/** In the order of the digits. */
function bytesOf(uuid: string): Uint8Array {
	const digits = uuid.replaceAll("-", "");
	return Uint8Array.from({ length: 16 }, (_, index) => Number.parseInt(digits.slice(2 * index, 2 * index + 2), 16));
}

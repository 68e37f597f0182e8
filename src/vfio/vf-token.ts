// The secret that the users of a physical function and of its virtual functions share, so that each is known to trust the
// other. vfio_pci_core_match_token_uuid() in drivers/vfio/pci/vfio_pci_core.c.

import { Errno } from "../uapi/errno.js";

export const UUID_SIZE = 16;

/** Belongs to a physical function with SR-IOV. */
export class VfToken {
	/** What was set last; nothing that a program knows until then. */
	#uuid: Uint8Array | undefined;
	/** How many virtual functions are open. */
	users = 0;

	matches(uuid: Uint8Array): boolean {
		return this.#uuid?.every((byte, index) => byte === uuid[index]) ?? false;
	}

	set(uuid: Uint8Array): void {
		this.#uuid = uuid;
	}
}

/** Which part a function has in SR-IOV. */
export type SriovRole =
	| { readonly kind: "none" }
	| { readonly kind: "physical"; readonly token: VfToken }
	/** `token` is undefined where the physical function isn't VFIO's. */
	| { readonly kind: "virtual"; readonly token: VfToken | undefined };

/**
 * Lets a binding in, or not.
 * @param uuid what the program gave
 * @throws EACCES when a token is missing or wrong, EINVAL when one is given that nobody asked for
 */
export function checkToken(role: SriovRole, uuid: Uint8Array | undefined, name: string): void {
	switch (role.kind) {
		case "none":
			if (uuid)
				throw new Errno(
					"EINVAL",
					`a VF token is given, and ${name} is neither a physical nor a virtual function`,
					"vf-token",
				);
			return;
		case "physical":
			if (role.token.users > 0) requireMatch(role.token, uuid, name);
			else if (uuid) role.token.set(uuid);
			return;
		case "virtual":
			if (role.token) requireMatch(role.token, uuid, name);
			else if (uuid)
				throw new Errno("EINVAL", `a VF token is given, and the physical function of ${name} isn't VFIO's`, "vf-token");
	}
}

function requireMatch(token: VfToken, uuid: Uint8Array | undefined, name: string): void {
	if (!uuid) throw new Errno("EACCES", `${name} takes a VF token, and none is given`, "vf-token");
	if (!token.matches(uuid)) throw new Errno("EACCES", `the VF token isn't the one that ${name} takes`, "vf-token");
}

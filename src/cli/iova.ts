// IOVAs as the command line has them.

import { refuse } from "./complain.js";

/** @param where what the complaint begins with */
export function parseIova(iova: string, where = ""): bigint {
	if (!/^0x[0-9a-f]{1,16}$/i.test(iova)) refuse(`${where}${iova}: not an IOVA`, "give it in hexadecimal: 0x1000000");
	return BigInt(iova);
}

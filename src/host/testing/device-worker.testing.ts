// A device thread for the tests of this room: the models that ship.

import { runDeviceThread } from "../devices/device-thread.js";

runDeviceThread(async () => {});

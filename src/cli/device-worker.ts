// The thread of a device: its model lives here.

import { runDeviceThread } from "../host/devices/device-thread.js";
import { loadModels } from "./device-modules.js";

runDeviceThread(loadModels);

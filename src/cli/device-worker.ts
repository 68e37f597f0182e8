// The thread of a device: its model lives here.

import { addModel } from "../devices/models.js";
import { runDeviceThread } from "../host/devices/device-thread.js";
import { vfioUser } from "../host/vfio-user/model.js";
import { loadModels } from "./device-modules.js";

addModel(vfioUser);
runDeviceThread(loadModels);

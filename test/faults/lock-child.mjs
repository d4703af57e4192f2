// A process that takes and gives back a lock when told to; the other end is lock.test.ts. Runs the compiled lock.

import { acquireLock, releaseLock } from "../../dist/store/lock.js";

process.on("message", ({ order, file }) => {
  if (order === "release") {
    releaseLock(file);
    process.send({ released: true });
    return;
  }
  try {
    acquireLock(file, "run x");
    process.send({ won: true });
  } catch (error) {
    process.send({ won: false, message: error.message });
  }
});
process.send({ ready: true });

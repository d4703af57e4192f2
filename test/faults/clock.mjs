// Loaded before the program (`node --import`), in its threads too: the clock of the day jumps by hours, ahead and back, every few times it is
// looked at. The clock that only goes ahead (performance.now) stays as it is, as it does on a real machine.

const HOUR_MS = 3_600_000;
const JUMPS = [0, 3, -5, 1000, -26, 0.5, -9000];
const EVERY = 5;
const { now } = Date;
let looks = 0;
const jumping = () => now() + JUMPS[Math.floor(looks++ / EVERY) % JUMPS.length] * HOUR_MS;

globalThis.Date = class extends Date {
  constructor(...args) {
    if (args.length === 0) super(jumping());
    else super(...args);
  }

  static now() {
    return jumping();
  }
};

// Compares our f32 matrix product with OpenBLAS's sgemm in one run, turn by turn: `node bench/gemm-openblas.mjs [--threads N]
// [--library libopenblas.so.0]`. Needs `npm run build` and an installed OpenBLAS (Debian: libopenblas0-pthread). OpenBLAS 0.3.21 does
// not know CPUs newer than itself and falls back to slow kernels; OPENBLAS_CORETYPE=SkylakeX selects its AVX-512 ones.

import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import koffi from "koffi";
import { createCpuDevice, measurePeak } from "../dist/engine/local/device/cpu/device.js";

const { values } = parseArgs({
  options: {
    threads: { type: "string", default: String(availableParallelism()) },
    library: { type: "string", default: "libopenblas.so.0" },
    rounds: { type: "string", default: "15" },
  },
});
const threads = Number(values.threads);
process.env.OPENBLAS_NUM_THREADS = String(threads);

const blas = koffi.load(values.library);
blas.func("void openblas_set_num_threads(int)")(threads);
const kernel = blas.func("const char *openblas_get_corename()")();
const sgemm = blas.func(
  "void cblas_sgemm(int, int, int, int, int, int, float, const float *, int, const float *, int, float, float *, int)",
);
const [ROW_MAJOR, NO_TRANSPOSE, TRANSPOSE] = [101, 111, 112];

const SHAPES = [
  [1024, 1024, 1024],
  [512, 512, 512],
  [2048, 352, 128],
  [256, 128, 128],
];

const median = (times) => times.sort((a, b) => a - b)[Math.floor(times.length / 2)];

/** Seconds of `repeats` calls. */
function time(call, repeats) {
  const start = performance.now();
  for (let i = 0; i < repeats; i++) call();
  return (performance.now() - start) / 1000;
}

function compare(device, [rows, out, input]) {
  const data = (length) => Float32Array.from({ length }, (_, i) => ((i * 7919) % 1000) / 1000 - 0.5);
  const [hostX, hostW, hostY] = [data(rows * input), data(out * input), new Float32Array(rows * out)];
  const [x, w, y] = [rows * input, out * input, rows * out].map((length) => device.alloc("f32", length));
  device.upload(x, hostX);
  device.upload(w, hostW);
  const packed = device.packWeight(w, out, input, "f32");
  // Ours reads a weight that was packed once, as training and sampling do; the second figure packs it for every product.
  const ours = () => device.linear(y, x, packed, rows);
  const oursPacking = () => device.linear(y, x, device.packWeight(w, out, input, "f32", packed), rows);
  const theirs = () => sgemm(ROW_MAJOR, NO_TRANSPOSE, TRANSPOSE, rows, out, input, 1, hostX, input, hostW, input, 0, hostY, out);
  const work = 2 * rows * out * input;
  const repeats = Math.max(1, Math.round(4e8 / work));
  const times = { ours: [], oursPacking: [], theirs: [] };
  for (const call of [ours, oursPacking, theirs]) time(call, repeats);
  for (let round = 0; round < Number(values.rounds); round++) {
    times.ours.push(time(ours, repeats));
    times.oursPacking.push(time(oursPacking, repeats));
    times.theirs.push(time(theirs, repeats));
  }
  const largest = device.download(y).reduce((worst, value, i) => Math.max(worst, Math.abs(value - hostY[i])), 0);
  const gflops = Object.fromEntries(Object.entries(times).map(([name, list]) => [name, (work * repeats) / median(list) / 1e9]));
  for (const buffer of [x, w, y]) device.free(buffer);
  device.freePacked(packed);
  return { ...gflops, largest };
}

const device = createCpuDevice({ threads });
console.log(`${threads} threads; measured peak ${measurePeak({ threads }).toFixed(0)} GFLOP/s; OpenBLAS kernels: ${kernel}`);
console.log("rows × out × in     ours   ours, packing each time   OpenBLAS   ratio   largest difference");
for (const shape of SHAPES) {
  const { ours, oursPacking, theirs, largest } = compare(device, shape);
  const cells = [
    shape.join(" × ").padEnd(18),
    ours.toFixed(0),
    oursPacking.toFixed(0),
    theirs.toFixed(0),
    (oursPacking / theirs).toFixed(2),
  ];
  console.log(`${cells.join("   ")}   ${largest.toExponential(1)}`);
}
device.dispose();

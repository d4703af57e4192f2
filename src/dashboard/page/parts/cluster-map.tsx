// Questions on a plane, as points on a canvas: later iterations darker and of another shape. The table of clusters beside it says the same
// in words, so the canvas only needs a name for those who do not see it.

import { useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { MapCluster, MapPoint } from "../../api.ts";
import { hrefTo } from "../address.ts";
import { percent } from "../numbers.ts";
import { cssColour, theme } from "../theme.ts";
import { verdictText } from "../words.ts";
import { lineColour } from "./chart.tsx";

export interface ClusterMapProps {
  readonly run: string;
  readonly points: readonly MapPoint[];
  readonly clusters: readonly MapCluster[];
  readonly iterations: readonly number[];
  /** The only iteration shown; undefined: all. */
  readonly shown: number | undefined;
}

const HEIGHT = 420;
const AIR = 14;
const REACH = 12;

export function ClusterMap({ run, points, clusters, iterations, shown }: ClusterMapProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useSignal(600);
  const under = useSignal<MapPoint | undefined>(undefined);
  const visible = useMemo(() => points.filter(({ iteration }) => shown === undefined || iteration === shown), [points, shown]);
  const examples = useMemo(() => new Map(clusters.map(({ cluster, example }) => [cluster, example])), [clusters]);
  useEffect(() => {
    const element = canvas.current as HTMLCanvasElement;
    const observed = new ResizeObserver(() => {
      width.value = element.clientWidth;
    });
    observed.observe(element);
    return () => observed.disconnect();
  }, [width]);
  useEffect(() => {
    draw(canvas.current as HTMLCanvasElement, { points, visible, iterations, width: width.value, under: under.value });
  }, [points, visible, iterations, width.value, under.value, theme.value]);
  const find = (event: MouseEvent) => {
    under.value = nearest(visible, width.value, event.offsetX, event.offsetY);
  };
  const open = () => {
    if (under.value) location.hash = hrefTo(["run", run, "questions", under.value.id]);
  };
  return (
    <figure class="map">
      <canvas
        ref={canvas}
        role="img"
        aria-label={`Map of ${visible.length} questions in ${clusters.length} clusters; the table below lists the clusters`}
        class={under.value ? "map-canvas map-pointing" : "map-canvas"}
        onMouseMove={find}
        onMouseLeave={() => {
          under.value = undefined;
        }}
        onClick={open}
      />
      <figcaption>
        <span class="legend">
          {iterations.map((iteration, index) => (
            <span key={iteration} class="legend-entry">
              <Shape index={index} /> iteration {iteration}
            </span>
          ))}
        </span>
        <span class="map-under">
          {under.value
            ? `iteration ${under.value.iteration}, p̂ ${percent(under.value.share, 0)}, ${verdictText(under.value.verdict)}; cluster ${under.value.cluster}, like “${examples.get(under.value.cluster) ?? "–"}”`
            : "Point at a question to see where it belongs; a click opens it."}
        </span>
      </figcaption>
    </figure>
  );
}

/** Shapes of the iterations: circle, square, triangle, diamond, then again. */
function Shape({ index }: { readonly index: number }) {
  const name = `fill-${(index % 6) + 1}`;
  const shapes = [
    <circle key={0} cx="6" cy="6" r="4" class={name} />,
    <rect key={1} x="2.5" y="2.5" width="7" height="7" class={name} />,
    <path key={2} d="M6 1.5 10.5 10h-9z" class={name} />,
    <path key={3} d="M6 1 11 6 6 11 1 6z" class={name} />,
  ];
  return (
    <svg class="shape" viewBox="0 0 12 12" aria-hidden="true">
      {shapes[index % shapes.length]}
    </svg>
  );
}

interface Drawing {
  readonly points: readonly MapPoint[];
  readonly visible: readonly MapPoint[];
  readonly iterations: readonly number[];
  readonly width: number;
  readonly under: MapPoint | undefined;
}

function placeOf({ x, y }: MapPoint, width: number): [number, number] {
  return [AIR + x * (width - 2 * AIR), AIR + y * (HEIGHT - 2 * AIR)];
}

function draw(canvas: HTMLCanvasElement, { points, visible, iterations, width, under }: Drawing): void {
  const ratio = devicePixelRatio;
  canvas.width = width * ratio;
  canvas.height = HEIGHT * ratio;
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  context.scale(ratio, ratio);
  // The other iterations stay as faint dots, so that an iteration is seen within the whole.
  if (visible.length < points.length) {
    context.fillStyle = cssColour("--grid");
    for (const point of points) dot(context, 0, 1.5, ...placeOf(point, width));
  }
  iterations.forEach((iteration, index) => {
    context.fillStyle = cssColour(lineColour(index));
    context.globalAlpha = 0.75;
    for (const point of visible) if (point.iteration === iteration) dot(context, index, 3, ...placeOf(point, width));
  });
  context.globalAlpha = 1;
  if (!under) return;
  context.strokeStyle = cssColour("--text");
  context.lineWidth = 2;
  context.beginPath();
  const [x, y] = placeOf(under, width);
  context.arc(x, y, 7, 0, 2 * Math.PI);
  context.stroke();
}

function dot(context: CanvasRenderingContext2D, shape: number, size: number, x: number, y: number): void {
  context.beginPath();
  if (shape % 4 === 0) context.arc(x, y, size, 0, 2 * Math.PI);
  else if (shape % 4 === 1) context.rect(x - size * 0.9, y - size * 0.9, size * 1.8, size * 1.8);
  else {
    const corners =
      shape % 4 === 2
        ? [
            [0, -1.2],
            [1.1, 0.9],
            [-1.1, 0.9],
          ]
        : [
            [0, -1.25],
            [1.25, 0],
            [0, 1.25],
            [-1.25, 0],
          ];
    for (const [dx, dy] of corners) context.lineTo(x + dx * size, y + dy * size);
    context.closePath();
  }
  context.fill();
}

function nearest(points: readonly MapPoint[], width: number, atX: number, atY: number): MapPoint | undefined {
  let found: MapPoint | undefined;
  let least = REACH ** 2;
  for (const point of points) {
    const [x, y] = placeOf(point, width);
    const distance = (x - atX) ** 2 + (y - atY) ** 2;
    if (distance < least) {
      least = distance;
      found = point;
    }
  }
  return found;
}

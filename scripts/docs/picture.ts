/**
 * The picture of how the parts fit, as SVG: light, and dark where the reader's system is. Boxes, arrows and labels are data; their places
 * are chosen by hand.
 */
type Point = readonly [x: number, y: number]
/** `own`: a part of Reprieve; `user`: the application; `other`: what is there without either. */
type Box = {
  at: Point
  size: Point
  title: string
  lines: readonly string[]
  kind: 'own' | 'user' | 'other'
}
type Arrow = { from: Point; to: Point; both?: true }
type Label = { at: Point; text: string; anchor: 'start' | 'middle' | 'end' }

const size: Point = [900, 462]
const pod = { at: [16, 148], size: [640, 300], title: 'Pod' } as const

const boxes: readonly Box[] = [
  {
    at: [32, 20],
    size: [236, 84],
    title: 'API server',
    lines: ['asks about each new pod', 'that its owner opted in'],
    kind: 'other',
  },
  {
    at: [408, 20],
    size: [232, 84],
    title: 'reprieve-webhook',
    lines: ['decides, and adds the two', 'containers below to the pod'],
    kind: 'own',
  },
  {
    at: [744, 20],
    size: [140, 84],
    title: 'reprieve-certs',
    lines: ['renews the', 'certificates'],
    kind: 'own',
  },
  {
    at: [32, 184],
    size: [236, 248],
    title: 'application',
    lines: [
      'your container, as you wrote it:',
      'no new image, no privilege.',
      'Its command runs under',
      'the launcher.',
    ],
    kind: 'user',
  },
  {
    at: [408, 184],
    size: [232, 96],
    title: 'reprieve-restore',
    lines: ['init container: installs the', 'launcher, fetches and verifies', 'the newest checkpoint'],
    kind: 'own',
  },
  {
    at: [408, 312],
    size: [232, 120],
    title: 'reprieve-sidecar',
    lines: ['native sidecar with CRIU: takes', 'checkpoints, stores them,', 'and restores the newest'],
    kind: 'own',
  },
  {
    at: [744, 184],
    size: [140, 172],
    title: 'Store',
    lines: ['a directory:', 'volume claim, NFS', 'or host path'],
    kind: 'other',
  },
  {
    at: [744, 376],
    size: [140, 56],
    title: 'Cloud',
    lines: ['metadata service'],
    kind: 'other',
  },
]

const arrows: readonly Arrow[] = [
  { from: [268, 46], to: [408, 46] },
  { from: [408, 78], to: [268, 78] },
  { from: [744, 62], to: [640, 62] },
  { from: [150, 104], to: [150, 148] },
  { from: [408, 232], to: [268, 232] },
  { from: [268, 346], to: [408, 346] },
  { from: [408, 398], to: [268, 398] },
  { from: [744, 232], to: [640, 232] },
  { from: [640, 336], to: [744, 336], both: true },
  { from: [744, 404], to: [640, 404] },
]

const labels: readonly Label[] = [
  { at: [338, 38], text: 'AdmissionReview', anchor: 'middle' },
  { at: [338, 96], text: 'patch', anchor: 'middle' },
  { at: [692, 54], text: 'certificate', anchor: 'middle' },
  { at: [160, 131], text: 'creates the pod', anchor: 'start' },
  { at: [338, 224], text: 'launcher, tools', anchor: 'middle' },
  { at: [338, 338], text: 'start, preStop', anchor: 'middle' },
  { at: [338, 390], text: 'dump, restore', anchor: 'middle' },
  { at: [700, 224], text: 'newest', anchor: 'middle' },
  { at: [700, 328], text: 'checkpoints', anchor: 'middle' },
  { at: [700, 396], text: 'notices', anchor: 'middle' },
]

const style = `
    text { font: 13px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #3d444d }
    .title { font-weight: 600; font-size: 15px; fill: #1f2328 }
    .label { font-size: 12px }
    .page { fill: #ffffff }
    .pod { fill: none; stroke: #818b98; stroke-dasharray: 6 4 }
    .own { fill: #ddf4ff; stroke: #0969da }
    .user { fill: #dafbe1; stroke: #1a7f37 }
    .other { fill: #f6f8fa; stroke: #818b98 }
    .arrow { stroke: #59636e; stroke-width: 1.5; fill: none }
    .head { fill: #59636e }
    @media (prefers-color-scheme: dark) {
      text { fill: #c5ccd3 }
      .title { fill: #f0f6fc }
      .page { fill: #0d1117 }
      .own { fill: #0c2d4d; stroke: #4493f8 }
      .user { fill: #0f2e1a; stroke: #3fb950 }
      .other { fill: #1c222a; stroke: #9198a1 }
      .arrow { stroke: #9198a1 }
      .head { fill: #9198a1 }
    }`

export function pictureOfParts(): string {
  const [width, height] = size
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title">
  <title id="title">The API server asks the webhook about a new pod. The webhook adds an init container and a sidecar, which store and restore checkpoints of the application.</title>
  <style>${style}
  </style>
  <defs>
    <marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto-start-reverse">
      <path class="head" d="M0 0 8 4 0 8z"/>
    </marker>
  </defs>
  <rect class="page" width="${width}" height="${height}"/>
  <rect class="pod" x="${pod.at[0]}" y="${pod.at[1]}" width="${pod.size[0]}" height="${pod.size[1]}" rx="10"/>
  <text class="title" x="${pod.at[0] + 16}" y="${pod.at[1] + 24}">${pod.title}</text>
${[...boxes.map(boxOf), ...arrows.map(arrowOf), ...labels.map(labelOf)].join('\n')}
</svg>
`
}

function boxOf({ at: [x, y], size: [width, height], title, lines, kind }: Box): string {
  const texts = lines.map((line, index) => `  <text x="${x + 14}" y="${y + 46 + index * 19}">${line}</text>`)
  return [
    `  <rect class="${kind}" x="${x}" y="${y}" width="${width}" height="${height}" rx="6"/>`,
    `  <text class="title" x="${x + 14}" y="${y + 25}">${title}</text>`,
    ...texts,
  ].join('\n')
}

function arrowOf({ from, to, both }: Arrow): string {
  const start = both ? ' marker-start="url(#head)"' : ''
  return `  <path class="arrow" d="M${from.join(' ')} ${to.join(' ')}"${start} marker-end="url(#head)"/>`
}

function labelOf({ at: [x, y], text, anchor }: Label): string {
  return `  <text class="label" x="${x}" y="${y}" text-anchor="${anchor}">${text}</text>`
}

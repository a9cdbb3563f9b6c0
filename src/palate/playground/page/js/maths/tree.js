// A prompt of P tokens and K responses of R tokens each, laid out as [P | R1 | R2 | ... | RK], every token once.

export const layoutTokens = ({ prompt, response, count }) => prompt + count * response;

// Which response a row belongs to; -1 for the prompt.
export const responseOf = (row, { prompt, response }) =>
  row < prompt ? -1 : Math.floor((row - prompt) / response);

// Position that the row's token has in its own sequence: responses go on from the end of the prompt.
export const positionOf = (row, { prompt, response }) =>
  row < prompt ? row : prompt + ((row - prompt) % response);

// Runs [start, length] of the rows that a row sees: the prompt up to itself, or the prompt and its own response.
export function seenBy(row, layout) {
  const of = responseOf(row, layout);
  if (of < 0) return [[0, row + 1]];
  const start = layout.prompt + of * layout.response;
  return layout.prompt ? [[0, layout.prompt], [start, row + 1 - start]] : [[start, row + 1 - start]];
}

// Tokens computed: each sequence by itself, and the prompt once.
export function sharing({ prompt, response, count }) {
  const apart = count * (prompt + response);
  const shared = prompt + count * response;
  return { apart, shared, factor: apart / shared, saved: 1 - shared / apart };
}

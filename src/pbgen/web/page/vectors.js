// What one can do with latent vectors: all inputs of a picture as one Float32Array, standard normal.

/** From a to b along the sphere that normal vectors lie near, so that those on the way are as likely: t in 0 .. 1. */
export function between(a, b, t) {
  const [length, other] = [norm(a), norm(b)];
  const cosine = Math.min(1, Math.max(-1, dot(a, b) / (length * other || 1)));
  const angle = Math.acos(cosine);
  const whole = Math.sin(angle);
  const [from, to] = whole < 1e-4 ? [1 - t, t] : [Math.sin((1 - t) * angle) / whole, Math.sin(t * angle) / whole];
  return a.map((value, i) => from * value + to * b[i]);
}

/** a + factor b. */
export function along(a, b, factor) {
  return factor ? a.map((value, i) => value + factor * b[i]) : a;
}

/**
 * The directions of latent space that change pictures most, strongest first, as unit vectors: the left singular vectors
 * of how pictures hang on latents, by linear regression over samples (for normal latents, the mean of z times y).
 *
 * latents, pictures: a row a sample. After Haerkoenen et al., "GANSpace" (2020), in latent space itself.
 */
export function directions(latents, pictures, count) {
  const mean = pictures[0].map((_, j) => pictures.reduce((sum, row) => sum + row[j], 0) / pictures.length);
  const centred = pictures.map((row) => row.map((value, j) => value - mean[j]));
  const found = [];
  for (let k = 0; k < count; ++k) {
    let direction = latents[k % latents.length].slice();
    for (let step = 0; step < 12; ++step) {
      const effect = sum(latents, centred, (z) => dot(z, direction));
      direction = sum(centred, latents, (y) => dot(y, effect));
      for (const other of found) direction = along(direction, other, -dot(direction, other));
      const length = norm(direction) || 1;
      direction = direction.map((value) => value / length);
    }
    found.push(direction);
  }
  return found;
}

// The sum over samples of weight(own) times other's row.
function sum(own, others, weight) {
  const total = new Float32Array(others[0].length);
  own.forEach((row, i) => {
    const factor = weight(row) / own.length;
    others[i].forEach((value, j) => (total[j] += factor * value));
  });
  return total;
}

function dot(a, b) {
  return a.reduce((total, value, i) => total + value * b[i], 0);
}

function norm(a) {
  return Math.sqrt(dot(a, a));
}
